//! Square's customers and counts of stock.

use patchbay_providers::shapes::{Customer, StockCount};
use patchbay_sandbox::square::data::ChangeKind;
use serde::Deserialize;
use serde_json::json;

use crate::stand_in::{StandIn, run};

#[tokio::test]
async fn every_customer_comes_and_the_total_is_known() {
    let at = StandIn::small().await;
    let run = at.full("customers").await;
    assert_eq!(run.ids().len(), at.summary().customers);
    assert_eq!(run.total, Some(at.summary().customers as u64));
    assert!(run.pages > 1, "one page proves no paging");
    let named = run
        .records
        .iter()
        .map(|it| Customer::deserialize(&it.data).expect("a customer"));
    assert!(
        named
            .filter(|it| it.given_name.is_some() && it.created_at.is_some())
            .count()
            > 0
    );
}

#[tokio::test]
async fn an_incremental_run_brings_new_and_changed_customers_only() {
    let at = StandIn::small().await;
    let cursor = at.full("customers").await.cursor;
    let created = at.change(ChangeKind::CustomerCreated, None);
    let updated = at.change(ChangeKind::CustomerUpdated, None);
    let run = at.changes("customers", cursor).await;
    assert_eq!(run.ids(), [created.as_str(), updated.as_str()].into());
}

#[tokio::test]
async fn every_count_comes_and_then_only_changed_ones() {
    let at = StandIn::small().await;
    let all = at.full("inventory").await;
    assert_eq!(all.ids().len(), at.summary().inventory_counts);
    let count = StockCount::deserialize(&all.records[0].data).expect("a count");
    assert_eq!(count.quantity.to_string(), all.records[0].raw["quantity"]);
    assert!(
        at.changes("inventory", all.cursor.clone())
            .await
            .records
            .is_empty()
    );

    let variation = at.change(ChangeKind::StockChanged, None);
    let run = at.changes("inventory", all.cursor).await;
    assert_eq!(run.records.len(), 1);
    assert_eq!(run.records[0].data["variation_id"], variation.as_str());
}

#[tokio::test]
async fn another_choice_of_locations_counts_from_the_beginning() {
    let at = StandIn::small().await;
    let all = at.full("inventory").await;
    let location = &all.records[0].data["location_id"];
    let session = at.session_with(
        patchbay_sandbox::square::DEFAULT_TOKEN,
        json!({ "location_ids": [location] }),
    );
    let narrow = run(
        at.provider(),
        &session,
        "inventory",
        patchbay_providers::PullMode::Incremental,
        all.cursor.clone(),
    );
    let narrow = narrow.await.expect("a run");
    let here = all
        .records
        .iter()
        .filter(|it| it.data["location_id"] == *location)
        .count();
    assert_eq!(narrow.records.len(), here);
    assert!(narrow.complete);
}
