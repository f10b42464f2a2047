//! Merchant, token, customers, stock, and the request log.

use serde_json::{Value, json};

use crate::http::{TOKEN, all_pages, control, get, post, send};
use crate::small;

#[tokio::test]
async fn locations_are_sorted_by_name_and_hold_the_closed_one() {
    let sandbox = small().await;
    let answer = get(&sandbox, "/v2/locations").await.json();
    let locations = answer["locations"].as_array().expect("locations");
    let names: Vec<&str> = locations
        .iter()
        .filter_map(|l| l["name"].as_str())
        .collect();
    assert!(names.is_sorted());
    assert_eq!(
        locations
            .iter()
            .filter(|l| l["status"] == "INACTIVE")
            .count(),
        1
    );
    assert!(
        locations
            .iter()
            .all(|l| l["merchant_id"] == "MLSANDBOX0001")
    );
}

#[tokio::test]
async fn the_token_tells_whose_it_is_without_a_scope_or_version() {
    let sandbox = small().await;
    let bearer = format!("Bearer {TOKEN}");
    let answer = send(
        &sandbox,
        "POST /square/oauth2/token/status",
        &[("authorization", &bearer)],
        "",
    )
    .await;
    assert_eq!(answer.json()["merchant_id"], "MLSANDBOX0001");
    assert!(
        answer.json()["scopes"]
            .as_array()
            .is_some_and(|s| s.contains(&json!("ITEMS_READ")))
    );
    let me = get(&sandbox, "/v2/merchants/me").await.json();
    assert_eq!(me["merchant"]["id"], "MLSANDBOX0001");
    assert_eq!(
        get(&sandbox, "/v2/merchants/MLSANDBOX0001").await.json(),
        me
    );
}

#[tokio::test]
async fn customers_are_listed_counted_and_searched_by_change() {
    let sandbox = small().await;
    let first = get(&sandbox, "/v2/customers?limit=100&count=true")
        .await
        .json();
    assert_eq!(first["customers"].as_array().map(Vec::len), Some(100));
    assert_eq!(first["count"], 130);
    let cursor = first["cursor"].as_str().expect("a second page");
    let second = get(
        &sandbox,
        &format!("/v2/customers?limit=100&count=true&cursor={cursor}"),
    )
    .await;
    assert_eq!(
        second.json()["customers"].as_array().map(Vec::len),
        Some(30)
    );
    assert!(second.json().get("cursor").is_none());

    let all = all_pages(
        &sandbox,
        "/v2/customers/search",
        json!({"limit": 50}),
        "customers",
    )
    .await;
    assert_eq!(all.len(), 130);
    let mut times: Vec<&str> = all
        .iter()
        .filter_map(|c| c["updated_at"].as_str())
        .collect();
    times.sort_unstable();
    let filter = json!({"query": {"filter": {"updated_at": {"start_at": times[100]}}}});
    let late = all_pages(&sandbox, "/v2/customers/search", filter, "customers").await;
    assert_eq!(late.len(), 30);
}

#[tokio::test]
async fn stock_is_read_after_a_time_and_by_state_and_place() {
    const COUNTS: &str = "/v2/inventory/counts/batch-retrieve";
    let sandbox = small().await;
    let all = all_pages(&sandbox, COUNTS, json!({"limit": 100}), "counts").await;
    let times: Vec<&str> = all
        .iter()
        .filter_map(|c| c["calculated_at"].as_str())
        .collect();
    assert!(
        times.len() > 250 && times.is_sorted_by(|a, b| a >= b),
        "latest first"
    );
    assert!(all.iter().all(|count| count["quantity"].is_string()));
    let after = times[5];
    let late = all_pages(&sandbox, COUNTS, json!({"updated_after": after}), "counts").await;
    assert_eq!(late, all[..5]);
    let waste = post(&sandbox, COUNTS, json!({"states": ["WASTE"]}))
        .await
        .json();
    assert_eq!(waste, json!({}));
    let unknown = post(&sandbox, COUNTS, json!({"states": ["GONE"]})).await;
    assert_eq!(unknown.code(), (400, "INVALID_ENUM_VALUE".to_owned()));
    let one = json!({"catalog_object_ids": [all[0]["catalog_object_id"]],
        "location_ids": [all[0]["location_id"]]});
    assert_eq!(
        all_pages(&sandbox, COUNTS, one, "counts").await,
        [all[0].clone()]
    );
}

#[tokio::test]
async fn the_request_log_counts_by_endpoint_and_holds_no_token() {
    let sandbox = small().await;
    for _ in 0..3 {
        post(&sandbox, "/v2/catalog/search", json!({"limit": 1})).await;
    }
    get(&sandbox, "/v2/catalog/object/NONE").await;
    get(&sandbox, "/v2/nothing").await;
    assert_eq!(sandbox.requests.count("POST /square/v2/catalog/search"), 3);
    let answer = control(&sandbox, "GET /requests?limit=2", Value::Null).await;
    assert!(!String::from_utf8_lossy(&answer.body).contains(TOKEN));
    let log = answer.json();
    assert_eq!(
        log["totals"]["GET /square/v2/catalog/object/{id}"]["by_status"]["404"],
        1
    );
    assert_eq!(log["totals"]["unknown"]["requests"], 1);
    assert_eq!(log["recent"].as_array().map(Vec::len), Some(2));
    assert_eq!(log["recent"][0]["path"], "/square/v2/catalog/object/NONE");
    let kept = sandbox.requests.recent(10);
    assert_eq!(kept[0].body, Some(json!({"limit": 1})));
    assert_eq!(kept[0].merchant_id.as_deref(), Some("MLSANDBOX0001"));
    control(&sandbox, "DELETE /requests", Value::Null).await;
    assert_eq!(sandbox.requests.count("POST /square/v2/catalog/search"), 0);
}
