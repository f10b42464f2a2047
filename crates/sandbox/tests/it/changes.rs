//! The clock of changes.

use patchbay_sandbox::square::DEFAULT_MERCHANT;
use patchbay_sandbox::square::data::ChangeKind;
use serde_json::json;

use crate::http::{all_pages, control, get, post};
use crate::orders::{all_orders, location_ids};
use crate::{small, start};

#[tokio::test]
async fn the_same_seed_makes_the_same_changes() {
    let (one, two) = (small().await, small().await);
    let changes = one
        .square
        .advance(DEFAULT_MERCHANT, 40)
        .expect("the merchant exists");
    assert_eq!(changes.len(), 40);
    assert_eq!(
        two.square
            .advance(DEFAULT_MERCHANT, 40)
            .expect("the merchant exists"),
        changes
    );
    let stamps: Vec<&str> = changes.iter().map(|change| change.at.as_str()).collect();
    assert!(
        stamps.is_sorted_by(|a, b| a < b),
        "each later than the one before"
    );
}

#[tokio::test]
async fn a_late_order_is_old_by_creation_and_new_by_update() {
    let sandbox = small().await;
    let answer = control(
        &sandbox,
        "POST /square/changes",
        json!({"kind": "late_order"}),
    )
    .await;
    let change = answer.json();
    let orders = all_orders(&sandbox).await;
    let order = orders
        .iter()
        .find(|order| order["id"] == change["id"])
        .expect("the new order");
    assert_eq!(order["updated_at"], change["at"]);
    let created = order["created_at"].as_str().expect("a time");
    assert!(created < change["at"].as_str().expect("a time"));
    assert!(
        created >= "2026-01-17T09:00:00.000Z",
        "within 72 hours: {created}"
    );
    let body = json!({"location_ids": [order["location_id"]], "query": {
        "filter": {"date_time_filter": {"updated_at": {"start_at": change["at"]}}},
        "sort": {"sort_field": "UPDATED_AT"}}});
    let found = all_pages(&sandbox, "/v2/orders/search", body, "orders").await;
    assert_eq!(found, std::slice::from_ref(order));
}

#[tokio::test]
async fn an_open_order_that_is_paid_gets_a_tender_and_a_version() {
    let sandbox = small().await;
    let open: Vec<_> = all_orders(&sandbox)
        .await
        .into_iter()
        .filter(|order| order["state"] == "OPEN")
        .collect();
    let id = open[0]["id"].as_str().expect("an id");
    sandbox
        .square
        .change(DEFAULT_MERCHANT, ChangeKind::OrderUpdated, Some(id))
        .expect("the merchant exists")
        .expect("the order exists");
    let batch = post(
        &sandbox,
        "/v2/orders/batch-retrieve",
        json!({"order_ids": [id]}),
    )
    .await
    .json();
    let order = &batch["orders"][0];
    assert_eq!(
        (order["state"].as_str(), order["version"].as_i64()),
        (Some("COMPLETED"), Some(2))
    );
    assert_eq!(order["closed_at"], order["updated_at"]);
    assert_eq!(order["tenders"][0]["amount_money"], order["total_money"]);
    assert_eq!(order["net_amount_due_money"]["amount"], 0);
}

#[tokio::test]
async fn the_clock_stamps_changes_when_moved() {
    let sandbox = small().await;
    let moved = control(&sandbox, "POST /clock", json!({"advance_ms": 3_600_000}))
        .await
        .json();
    assert_eq!(moved["now"], "2026-01-20T10:00:00.000Z");
    let changes = control(&sandbox, "POST /square/advance", json!({"changes": 1}))
        .await
        .json();
    assert_eq!(changes[0]["at"], "2026-01-20T10:00:00.000Z");
}

#[tokio::test]
async fn a_merchant_without_goods_can_still_grow() {
    let sandbox = start(patchbay_sandbox::Dataset::seeded(
        1,
        &patchbay_sandbox::Sizes {
            items: 0,
            orders: 0,
            customers: 0,
            ..patchbay_sandbox::Sizes::default()
        },
    ))
    .await;
    assert_eq!(
        get(&sandbox, "/v2/catalog/list?types=ITEM").await.json(),
        json!({})
    );
    let nothing = control(
        &sandbox,
        "POST /square/changes",
        json!({"kind": "item_deleted"}),
    )
    .await;
    assert_eq!(nothing.status, 404);
    for kind in [
        "item_created",
        "stock_changed",
        "order_created",
        "customer_created",
    ] {
        let answer = control(&sandbox, "POST /square/changes", json!({"kind": kind})).await;
        assert_eq!(answer.status, 200, "{kind}");
    }
    let places = location_ids(&sandbox).await;
    let body = json!({"location_ids": places});
    assert_eq!(
        all_pages(&sandbox, "/v2/orders/search", body, "orders")
            .await
            .len(),
        1
    );
}
