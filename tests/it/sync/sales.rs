//! Sales, customers and stock.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::clock::{Clock, SystemClock};
use patchbay_providers::PullMode;
use patchbay_sandbox::square::{DEFAULT_MERCHANT, data::ChangeKind};
use serde_json::json;

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    sales_arrive_complete_and_their_net_total_equals_the_source,
    a_late_offline_order_is_found_by_the_next_sync,
    a_range_brings_only_what_was_made_within_it,
    customers_and_stock_arrive_complete,
);

async fn sales_arrive_complete_and_their_net_total_equals_the_source(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("sales", PullMode::Incremental).await.unwrap();
    let source = desk.sandbox.square.summaries()[DEFAULT_MERCHANT].clone();
    let sales = desk.records("sales").await;
    assert_eq!(sales.len(), source.orders);
    let net: i64 = sales
        .iter()
        .map(|sale| sale.data["net"]["amount"].as_i64().unwrap())
        .sum();
    assert_eq!(net, source.net_total);
}

async fn a_late_offline_order_is_found_by_the_next_sync(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("sales", PullMode::Incremental).await.unwrap();
    let before = desk.records("sales").await.len();
    let late = desk.change(ChangeKind::LateOrder, 1);
    desk.sync("sales", PullMode::Incremental).await.unwrap();
    let after = desk.records("sales").await;
    assert_eq!(after.len(), before + 1);
    assert!(after.iter().any(|sale| sale.external_id == late[0]));
}

fn range(from: DateTime<Utc>, to: DateTime<Utc>) -> PullMode {
    PullMode::Range {
        from: from.into(),
        to: to.into(),
    }
}

async fn a_range_brings_only_what_was_made_within_it(desk: Desk) {
    let desk = desk.connected().await;
    let to = SystemClock.now();
    let from = to - TimeDelta::days(3650);
    let middle = {
        desk.sync("sales", range(from, to)).await.unwrap();
        let mut made: Vec<chrono::DateTime<Utc>> = desk
            .records("sales")
            .await
            .iter()
            .map(|sale| sale.data["created_at"].as_str().unwrap().parse().unwrap())
            .collect();
        made.sort_unstable();
        made[made.len() / 2]
    };
    let expected = desk
        .records("sales")
        .await
        .iter()
        .filter(|sale| {
            sale.data["created_at"]
                .as_str()
                .unwrap()
                .parse::<chrono::DateTime<Utc>>()
                .unwrap()
                >= middle
        })
        .count();
    let result = desk.sync("sales", range(middle, to)).await.unwrap();
    assert_eq!(result["records"], json!(expected));
    let state = desk
        .ctx
        .store
        .stream_states(desk.org, desk.connection)
        .await
        .unwrap();
    assert_eq!(
        state[0].cursor, None,
        "a range says nothing about what an incremental sync needs"
    );
}

async fn customers_and_stock_arrive_complete(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("customers", PullMode::Incremental).await.unwrap();
    desk.sync("inventory", PullMode::Incremental).await.unwrap();
    let source = desk.sandbox.square.summaries()[DEFAULT_MERCHANT].clone();
    assert_eq!(desk.living("customers").await, source.customers);
    assert_eq!(desk.living("inventory").await, source.inventory_counts);
}
