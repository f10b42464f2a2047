//! Square's orders.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::clock::{Clock, SystemClock};
use patchbay_providers::{PullMode, shapes::Sale};
use patchbay_sandbox::{Dataset, Sizes, square::data::ChangeKind};
use serde::Deserialize;
use serde_json::json;

use crate::stand_in::{Run, StandIn, run};

fn sales(run: &Run) -> Vec<Sale> {
    run.records
        .iter()
        .map(|record| Sale::deserialize(&record.data).expect("a sale"))
        .collect()
}

fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> PullMode {
    PullMode::Range {
        from: from.into(),
        to: to.into(),
    }
}

#[tokio::test]
async fn the_net_of_all_sales_is_what_the_merchant_earned() {
    let at = StandIn::small().await;
    let run = at.full("sales").await;
    let summary = at.summary();
    assert_eq!(run.records.len(), summary.orders);
    let sales = sales(&run);
    assert_eq!(
        sales.iter().map(|sale| sale.net.amount).sum::<i64>(),
        summary.net_total
    );
    assert!(summary.returning_orders > 0, "no returns to test with");
    assert!(sales.iter().any(|sale| sale.returned.amount > 0));
    for sale in &sales {
        assert_eq!(sale.net.amount, sale.total.amount - sale.returned.amount);
        assert!(sale.returned.amount >= 0);
    }
}

#[tokio::test]
async fn more_than_ten_locations_are_asked_in_groups() {
    let sizes = Sizes {
        locations: 23,
        orders: 300,
        items: 20,
        customers: 5,
        ..Sizes::default()
    };
    let at = StandIn::with(Dataset::seeded(5, &sizes)).await;
    let run = at.full("sales").await;
    assert_eq!(run.records.len(), 300);
    let locations: std::collections::BTreeSet<String> = sales(&run)
        .into_iter()
        .map(|sale| sale.location_id)
        .collect();
    assert!(locations.len() > 20, "{} locations", locations.len());
    assert_eq!(run.pages, 3);
}

#[tokio::test]
async fn many_orders_are_paged_within_a_group() {
    let sizes = Sizes {
        orders: 1700,
        items: 20,
        customers: 5,
        ..Sizes::default()
    };
    let at = StandIn::with(Dataset::seeded(5, &sizes)).await;
    let run = at.full("sales").await;
    assert_eq!(
        (run.records.len(), run.ids().len(), run.pages),
        (1700, 1700, 4)
    );
}

#[tokio::test]
async fn an_incremental_run_brings_new_changed_and_late_orders() {
    let at = StandIn::small().await;
    let cursor = at.full("sales").await.cursor;
    let created = at.change(ChangeKind::OrderCreated, None);
    let updated = at.change(ChangeKind::OrderUpdated, None);
    let late = at.change(ChangeKind::LateOrder, None);
    let run = at.changes("sales", cursor).await;
    for id in [&created, &updated, &late] {
        assert!(run.ids().contains(id.as_str()), "{id} is missing");
    }
    // The stand-in's other orders are months old: none of them is read again.
    assert!(run.records.len() <= 3, "{:?}", run.ids());
    let again = at.changes("sales", run.cursor.clone()).await;
    assert_eq!(
        again.ids(),
        run.ids(),
        "the overlap of 72 hours reads them once more"
    );
    let version = |run: &Run| run.record(&updated).source_version;
    assert_eq!(
        version(&again),
        version(&run),
        "and their version says that nothing changed"
    );
}

#[tokio::test]
async fn a_range_takes_its_start_and_leaves_its_end() {
    let at = StandIn::small().await;
    let all = at.full("sales").await;
    let mut times: Vec<DateTime<Utc>> = sales(&all).iter().map(|sale| sale.created_at).collect();
    times.sort_unstable();
    times.dedup();
    let (from, to) = (times[10], times[30]);
    let ranged = at
        .run("sales", between(from, to), None)
        .await
        .expect("a range");
    let inside = |sale: &Sale| sale.created_at >= from && sale.created_at < to;
    let outside = sales(&ranged)
        .into_iter()
        .find(|sale| !inside(sale))
        .map(|sale| sale.created_at);
    assert_eq!(outside, None, "asked for {from} to {to}");
    assert_eq!(
        ranged.records.len(),
        sales(&all).iter().filter(|sale| inside(sale)).count()
    );
    assert!(ranged.cursor.is_none() && !ranged.complete);

    let future = SystemClock.now() + TimeDelta::days(1);
    let empty = between(future, future + TimeDelta::days(1));
    assert!(
        at.run("sales", empty, None)
            .await
            .expect("an empty range")
            .records
            .is_empty()
    );
    let nothing = between(from, from);
    assert!(
        at.run("sales", nothing, None)
            .await
            .expect("no range at all")
            .records
            .is_empty()
    );
}

#[tokio::test]
async fn a_choice_of_locations_is_kept_and_a_wider_one_catches_up() {
    let at = StandIn::small().await;
    let all = sales(&at.full("sales").await);
    let first = all[0].location_id.clone();
    let narrow = at.session_with(
        patchbay_sandbox::square::DEFAULT_TOKEN,
        json!({ "location_ids": [first] }),
    );
    let some = run(at.provider(), &narrow, "sales", PullMode::Full, None)
        .await
        .expect("a run");
    let here = all.iter().filter(|sale| sale.location_id == first).count();
    assert!(here > 0 && here < all.len());
    assert_eq!(some.records.len(), here);

    let wider = at.changes("sales", some.cursor).await;
    assert_eq!(
        wider.records.len(),
        all.len() - here,
        "the other locations from their beginning"
    );

    let wrong = at.session_with(
        patchbay_sandbox::square::DEFAULT_TOKEN,
        json!({ "location_ids": ["LNOWHERE"] }),
    );
    let error = at.provider().test(&wrong).await.expect_err("refused");
    assert!(error.message.contains("LNOWHERE"), "{error}");
}

/// 469 sales and 43 cancellations are in the real file; the same rules on a few lines of
/// its layout, so that the test needs no file from elsewhere.
#[tokio::test]
async fn order_lines_of_a_file_add_up_with_cancellations_and_stock_adjustments() {
    let lines = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
        536365,85123A,WHITE HANGING HEART,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n\
        536365,71053,WHITE METAL LANTERN,6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom\n\
        536366,85123a,OTHER PRODUCT,1,2010-12-01 09:00:00,0.85,,France\n\
        C536379,85123A,WHITE HANGING HEART,-1,2010-12-01 09:41:00,2.55,14527.0,United Kingdom\n\
        536589,21777,,-10,2010-12-01 16:50:00,0.0,,United Kingdom\n";
    let at = StandIn::with(Dataset::from_csv_reader(lines.as_bytes()).expect("order lines")).await;
    let run = at.full("sales").await;
    assert_eq!(
        (run.of_kind("sale").len(), run.of_kind("return").len()),
        (3, 1)
    );
    let net: i64 = sales(&run).iter().map(|sale| sale.net.amount).sum();
    assert_eq!(net, 6 * 255 + 6 * 339 + 85 - 255);
    assert!(sales(&run).iter().all(|sale| sale.net.currency == "GBP"));
    assert_eq!(at.full("catalog").await.of_kind("item").len(), 4);
    let adjustment = sales(&run)
        .into_iter()
        .filter(|sale| sale.net.amount == 0)
        .count();
    assert_eq!(adjustment, 1);
}
