//! Search and look-up of orders.

use std::collections::HashSet;

use patchbay_sandbox::RunningSandbox;
use serde_json::{Value, json};

use crate::http::{all_pages, get, post};
use crate::small;

const SEARCH: &str = "/v2/orders/search";

pub async fn location_ids(sandbox: &RunningSandbox) -> Vec<String> {
    let answer = get(sandbox, "/v2/locations").await.json();
    let ids = answer["locations"].as_array().expect("locations").iter();
    ids.map(|location| location["id"].as_str().expect("an id").to_owned())
        .collect()
}

pub async fn all_orders(sandbox: &RunningSandbox) -> Vec<Value> {
    let mut all = Vec::new();
    for ten in location_ids(sandbox).await.chunks(10) {
        all.extend(
            all_pages(
                sandbox,
                SEARCH,
                json!({"location_ids": ten, "limit": 7}),
                "orders",
            )
            .await,
        );
    }
    all
}

#[tokio::test]
async fn one_to_ten_locations_of_the_merchant_are_searched() {
    let sandbox = small().await;
    let ids = location_ids(&sandbox).await;
    assert_eq!(ids.len(), 12);
    for (locations, expected) in [
        (json!(ids), "ARRAY_LENGTH_TOO_LONG"),
        (json!([]), "ARRAY_EMPTY"),
        (json!(["LOTHER"]), "INVALID_VALUE"),
        (Value::Null, "MISSING_REQUIRED_PARAMETER"),
    ] {
        let answer = post(&sandbox, SEARCH, json!({"location_ids": locations})).await;
        assert_eq!(answer.code(), (400, expected.to_owned()));
    }
    let orders = all_orders(&sandbox).await;
    let distinct: HashSet<&str> = orders.iter().filter_map(|o| o["id"].as_str()).collect();
    assert_eq!((orders.len(), distinct.len()), (120, 120));
}

fn filtered(location: &str, filter: Value, sort: Value) -> Value {
    json!({"location_ids": [location], "query": {"filter": filter, "sort": sort}})
}

#[tokio::test]
async fn the_sort_field_must_match_the_time_filter() {
    let sandbox = small().await;
    let location = &location_ids(&sandbox).await[0];
    let range = json!({"start_at": "2025-01-01T00:00:00Z"});
    let by_update = json!({"date_time_filter": {"updated_at": range}});
    let ok = json!({"sort_field": "UPDATED_AT", "sort_order": "ASC"});
    for (filter, sort, expected) in [
        (by_update.clone(), ok.clone(), 200),
        (by_update.clone(), json!({"sort_field": "CREATED_AT"}), 400),
        // The default is CREATED_AT, so leaving it out does not help.
        (by_update, json!({}), 400),
        (
            json!({"date_time_filter": {"created_at": range}}),
            json!({}),
            200,
        ),
        (
            json!({"date_time_filter": {"created_at": range, "updated_at": range}}),
            ok.clone(),
            400,
        ),
        (json!({"date_time_filter": {}}), ok, 400),
        (json!({}), json!({"sort_field": "CLOSED_AT"}), 400),
        (
            json!({"state_filter": {"states": ["COMPLETED"]}, "date_time_filter": {"closed_at": range}}),
            json!({"sort_field": "CLOSED_AT"}),
            200,
        ),
    ] {
        let answer = post(
            &sandbox,
            SEARCH,
            filtered(location, filter.clone(), sort.clone()),
        )
        .await;
        assert_eq!(
            answer.status,
            expected,
            "{filter} {sort}: {}",
            answer.json()
        );
    }
}

#[tokio::test]
async fn times_must_be_rfc_3339_and_in_order() {
    let sandbox = small().await;
    let location = &location_ids(&sandbox).await[0];
    for (range, expected) in [
        (json!({"start_at": "yesterday"}), "INVALID_TIME"),
        (
            json!({"start_at": "2026-01-02T00:00:00Z", "end_at": "2026-01-01T00:00:00Z"}),
            "INVALID_TIME_RANGE",
        ),
    ] {
        let body = filtered(
            location,
            json!({"date_time_filter": {"created_at": range}}),
            json!({}),
        );
        assert_eq!(
            post(&sandbox, SEARCH, body).await.code(),
            (400, expected.to_owned())
        );
    }
    let body = filtered(
        location,
        json!({"state_filter": {"states": ["PAID"]}}),
        json!({}),
    );
    assert_eq!(
        post(&sandbox, SEARCH, body).await.code(),
        (400, "INVALID_ENUM_VALUE".to_owned())
    );
}

#[tokio::test]
async fn a_range_holds_its_start_and_its_end_in_both_directions() {
    let sandbox = small().await;
    let ids = location_ids(&sandbox).await;
    let mut times: Vec<String> = all_orders(&sandbox)
        .await
        .iter()
        .filter(|order| {
            ids[..10]
                .iter()
                .any(|id| order["location_id"] == id.as_str())
        })
        .map(|order| order["updated_at"].as_str().expect("a time").to_owned())
        .collect();
    times.sort();
    let (start, end) = (&times[10], &times[40]);
    for (order, limit) in [("ASC", 4), ("DESC", 7)] {
        let body = json!({"location_ids": ids[..10], "limit": limit, "query": {
            "filter": {"date_time_filter": {"updated_at": {"start_at": start, "end_at": end}}},
            "sort": {"sort_field": "UPDATED_AT", "sort_order": order}}});
        let found = all_pages(&sandbox, SEARCH, body, "orders").await;
        let mut found: Vec<&str> = found
            .iter()
            .filter_map(|o| o["updated_at"].as_str())
            .collect();
        if order == "DESC" {
            found.reverse();
        }
        assert_eq!(
            found,
            times[10..=40]
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn amounts_of_every_order_add_up() {
    let sandbox = small().await;
    let amount =
        |order: &Value, path: &str| order.pointer(path).and_then(Value::as_i64).expect("money");
    let (mut returns, mut decimals, mut tips, mut discounts) = (0, 0, 0, 0);
    let orders = all_orders(&sandbox).await;
    for order in &orders {
        let lines = order["line_items"].as_array().cloned().unwrap_or_default();
        let sum = |key: &str| lines.iter().map(|line| amount(line, key)).sum::<i64>();
        let tip = amount(order, "/total_tip_money/amount");
        assert_eq!(
            amount(order, "/total_money/amount"),
            sum("/total_money/amount") + tip
        );
        assert_eq!(
            amount(order, "/total_tax_money/amount"),
            sum("/total_tax_money/amount")
        );
        assert_eq!(
            amount(order, "/total_discount_money/amount"),
            sum("/total_discount_money/amount")
        );
        let returned = order
            .pointer("/return_amounts/total_money/amount")
            .and_then(Value::as_i64);
        let net = amount(order, "/total_money/amount") - returned.unwrap_or_default();
        assert_eq!(amount(order, "/net_amounts/total_money/amount"), net);
        if let Some(returned) = returned {
            returns += 1;
            assert_eq!(amount(order, "/refunds/0/amount_money/amount"), returned);
            let sale = order["returns"][0]["source_order_id"]
                .as_str()
                .expect("its sale");
            assert!(orders.iter().any(|order| order["id"] == sale));
        }
        decimals += lines
            .iter()
            .filter(|l| l["quantity"].as_str().is_some_and(|q| q.contains('.')))
            .count();
        tips += usize::from(tip > 0);
        discounts += usize::from(order.get("discounts").is_some());
    }
    assert!(returns > 0 && decimals > 0 && tips > 0 && discounts > 0);
    let states: HashSet<&str> = orders.iter().filter_map(|o| o["state"].as_str()).collect();
    assert_eq!(states, HashSet::from(["OPEN", "COMPLETED", "CANCELED"]));
}

#[tokio::test]
async fn orders_are_found_by_id_and_entries_are_light() {
    let sandbox = small().await;
    let ids = location_ids(&sandbox).await;
    let body = json!({"location_ids": [ids[0]], "return_entries": true});
    let entries = all_pages(&sandbox, SEARCH, body, "order_entries").await;
    let keys: HashSet<&str> = entries[0]
        .as_object()
        .expect("an entry")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, HashSet::from(["order_id", "version", "location_id"]));
    let id = &entries[0]["order_id"];
    let batch = post(
        &sandbox,
        "/v2/orders/batch-retrieve",
        json!({"order_ids": [id, "NONE"]}),
    )
    .await;
    assert_eq!(batch.json()["orders"].as_array().map(Vec::len), Some(1));
    let elsewhere = json!({"order_ids": [id], "location_id": ids[1]});
    assert_eq!(
        post(&sandbox, "/v2/orders/batch-retrieve", elsewhere)
            .await
            .json(),
        json!({})
    );
}

#[tokio::test]
async fn a_walk_without_an_end_ends_at_its_first_request() {
    use patchbay_sandbox::square::DEFAULT_MERCHANT;
    use patchbay_sandbox::square::data::ChangeKind;
    let sandbox = small().await;
    let ids = location_ids(&sandbox).await;
    let mut body = json!({"location_ids": ids[..10], "limit": 60,
        "query": {"sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"}}});
    let first = post(&sandbox, SEARCH, body.clone()).await.json();
    body["cursor"] = first["cursor"].clone();
    sandbox.clock.advance_ms(1);
    // The oldest order changes: it now lies behind the end of the walk, not in it twice.
    let touched = first["orders"][0]["id"].as_str().expect("an id");
    sandbox
        .square
        .change(DEFAULT_MERCHANT, ChangeKind::OrderUpdated, Some(touched))
        .expect("the merchant exists")
        .expect("the order exists");
    let second = post(&sandbox, SEARCH, body.clone()).await.json();
    assert!(second.get("cursor").is_none());
    let rows = second["orders"].as_array().cloned().unwrap_or_default();
    assert!(rows.iter().all(|order| order["id"] != touched));
    body["cursor"] = Value::Null;
    let next = all_pages(&sandbox, SEARCH, body, "orders").await;
    assert_eq!(next[next.len() - 1]["id"], touched);
}
