//! List, search and look-up of the catalog.

use std::collections::HashSet;

use patchbay_sandbox::square::DEFAULT_MERCHANT;
use patchbay_sandbox::square::data::ChangeKind;
use serde_json::{Value, json};

use crate::http::{all_pages, get, post};
use crate::small;

async fn list(sandbox: &patchbay_sandbox::RunningSandbox, types: &str) -> (Vec<Value>, usize) {
    let (mut all, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = get(sandbox, &format!("/v2/catalog/list?types={types}{cursor}"))
            .await
            .json();
        pages += 1;
        let rows = page["objects"].as_array().cloned().unwrap_or_default();
        assert!(rows.len() <= 100);
        all.extend(rows);
        match page.get("cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (all, pages),
        }
    }
}

#[tokio::test]
async fn a_list_has_fixed_pages_of_a_hundred_and_holds_every_object_once() {
    let sandbox = small().await;
    let (items, pages) = list(&sandbox, "ITEM").await;
    assert_eq!((items.len(), pages), (250, 3));
    let ids: HashSet<&str> = items
        .iter()
        .filter_map(|item| item["id"].as_str())
        .collect();
    assert_eq!(ids.len(), 250);
    assert!(items.iter().all(|item| item["type"] == "ITEM"));
}

#[tokio::test]
async fn variations_are_nested_and_also_objects_of_their_own() {
    let sandbox = small().await;
    let (items, _) = list(&sandbox, "ITEM").await;
    let (variations, _) = list(&sandbox, "ITEM_VARIATION").await;
    let nested: Vec<&Value> = items
        .iter()
        .flat_map(|item| {
            item["item_data"]["variations"]
                .as_array()
                .expect("variations")
        })
        .collect();
    assert!(nested.len() > 250);
    assert_eq!(nested, variations.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn modifiers_are_nested_and_also_objects_of_their_own() {
    let sandbox = small().await;
    let (lists, _) = list(&sandbox, "MODIFIER_LIST").await;
    let (modifiers, _) = list(&sandbox, "MODIFIER").await;
    assert_eq!(modifiers.len(), 3);
    assert_eq!(
        lists[0]["modifier_list_data"]["modifiers"],
        json!(modifiers)
    );
}

#[tokio::test]
async fn without_types_a_list_holds_the_top_level_types_only() {
    let sandbox = small().await;
    let page = get(&sandbox, "/v2/catalog/list").await.json();
    let kinds: HashSet<&str> = page["objects"]
        .as_array()
        .expect("objects")
        .iter()
        .filter_map(|object| object["type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        HashSet::from(["ITEM", "CATEGORY", "TAX", "DISCOUNT", "MODIFIER_LIST"])
    );
}

#[tokio::test]
async fn types_without_objects_give_an_empty_answer_and_unknown_ones_an_error() {
    let sandbox = small().await;
    assert_eq!(
        get(&sandbox, "/v2/catalog/list?types=image").await.json(),
        json!({})
    );
    let answer = get(&sandbox, "/v2/catalog/list?types=ITEM,THING").await;
    assert_eq!(answer.code(), (400, "INVALID_ENUM_VALUE".to_owned()));
}

#[tokio::test]
async fn begin_time_is_exclusive_and_latest_time_is_the_watermark() {
    let sandbox = small().await;
    let search = json!({"object_types": ["ITEM"], "limit": 100});
    let all = all_pages(&sandbox, "/v2/catalog/search", search.clone(), "objects").await;
    assert_eq!(all.len(), 250);
    let watermark =
        post(&sandbox, "/v2/catalog/search", search).await.json()["latest_time"].clone();
    assert_eq!(watermark, all[249]["updated_at"]);

    let since = json!({"object_types": ["ITEM"], "begin_time": watermark});
    let page = post(&sandbox, "/v2/catalog/search", since.clone())
        .await
        .json();
    assert_eq!(page, json!({"latest_time": watermark}));

    let change = sandbox
        .square
        .change(DEFAULT_MERCHANT, ChangeKind::ItemUpdated, None)
        .expect("the merchant exists")
        .expect("an item to change");
    let page = post(&sandbox, "/v2/catalog/search", since).await.json();
    assert_eq!(page["objects"].as_array().map(Vec::len), Some(1));
    assert_eq!(page["objects"][0]["id"], change.id.as_str());
    assert_eq!(page["latest_time"], change.at.as_str());
    let versions = &page["objects"][0]["item_data"]["variations"][0]["version"];
    assert_eq!(&page["objects"][0]["version"], versions);
}

#[tokio::test]
async fn a_deleted_item_is_seen_only_by_a_search_for_deleted_objects() {
    let sandbox = small().await;
    let deleted = sandbox
        .square
        .change(DEFAULT_MERCHANT, ChangeKind::ItemDeleted, None)
        .expect("the merchant exists")
        .expect("an item to delete")
        .id;
    let (items, _) = list(&sandbox, "ITEM").await;
    assert_eq!(items.len(), 249);
    assert_eq!(
        get(&sandbox, &format!("/v2/catalog/object/{deleted}"))
            .await
            .status,
        404
    );

    let search = |with: bool| {
        json!({"object_types": ["ITEM", "ITEM_VARIATION"], "include_deleted_objects": with,
            "begin_time": "2026-01-16T00:00:00Z"})
    };
    let page = post(&sandbox, "/v2/catalog/search", search(false))
        .await
        .json();
    assert!(page.get("objects").is_none());
    let found = all_pages(&sandbox, "/v2/catalog/search", search(true), "objects").await;
    assert!(found.len() >= 2, "the item and its variations");
    assert!(found.iter().all(|object| object["is_deleted"] == true));
    assert!(found.iter().any(|object| object["id"] == deleted.as_str()));
}

#[tokio::test]
async fn look_ups_bring_related_objects_when_asked() {
    let sandbox = small().await;
    let (items, _) = list(&sandbox, "ITEM").await;
    let id = items[0]["id"].as_str().expect("an id");
    let body = json!({"object_ids": [id, "NOSUCHID"], "include_related_objects": true});
    let batch = post(&sandbox, "/v2/catalog/batch-retrieve", body)
        .await
        .json();
    assert_eq!(batch["objects"], json!([items[0]]));
    let one = get(
        &sandbox,
        &format!("/v2/catalog/object/{id}?include_related_objects=true"),
    )
    .await;
    assert_eq!(one.json()["object"], items[0]);
    let category = &items[0]["item_data"]["categories"][0]["id"];
    for answer in [batch, one.json()] {
        let related = answer["related_objects"]
            .as_array()
            .expect("related objects");
        assert!(related.iter().any(|object| &object["id"] == category));
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    use patchbay_sandbox::{Dataset, Sizes};
    let page = async |seed| {
        let sandbox = crate::start(Dataset::seeded(seed, &Sizes::default())).await;
        get(&sandbox, "/v2/catalog/list?types=ITEM").await.body
    };
    let first = page(1).await;
    assert_eq!(page(1).await, first);
    assert_ne!(page(2).await, first);
}
