//! Square's catalog.

use std::collections::BTreeSet;

use patchbay_providers::{
    PullMode,
    shapes::{CatalogItem, ModifierList},
};
use patchbay_sandbox::{Dataset, Effect, Fault, Sizes, square::data::ChangeKind};
use serde::Deserialize;
use serde_json::Value;

use crate::stand_in::StandIn;

#[tokio::test]
async fn a_full_run_brings_every_object_and_its_parts_inside() {
    let at = StandIn::small().await;
    let run = at.full("catalog").await;
    let summary = at.summary();
    assert_eq!(run.of_kind("item").len(), summary.items);
    for kind in ["category", "tax", "discount", "modifier_list"] {
        assert!(!run.of_kind(kind).is_empty(), "no {kind}");
    }
    assert!(run.pages > 1, "one page proves no paging");
    let items = run
        .of_kind("item")
        .into_iter()
        .map(|it| CatalogItem::deserialize(&it.data).expect("an item"));
    let lists = run.of_kind("modifier_list").into_iter();
    let lists = lists.map(|it| ModifierList::deserialize(&it.data).expect("a modifier list"));
    let parts: usize = items
        .map(|it| it.variations.len())
        .chain(lists.map(|it| it.modifiers.len()))
        .sum();
    assert_eq!(run.records.len() + parts, summary.catalog_objects);
}

#[tokio::test]
async fn an_incremental_run_brings_what_changed_and_what_was_deleted_and_nothing_else() {
    let at = StandIn::small().await;
    let cursor = at.full("catalog").await.cursor;
    let nothing = at.changes("catalog", cursor).await;
    assert_eq!(nothing.records.len(), 0, "{:?}", nothing.ids());

    let created = at.change(ChangeKind::ItemCreated, None);
    let updated = at.change(ChangeKind::ItemUpdated, None);
    let deleted = at.change(ChangeKind::ItemDeleted, None);
    let run = at.changes("catalog", nothing.cursor).await;
    let changed = [created.as_str(), updated.as_str(), deleted.as_str()].into();
    assert_eq!(run.ids(), changed);
    assert!(run.record(&deleted).deleted);
    assert!(created == deleted || !run.record(&created).deleted);
    assert!(
        at.changes("catalog", run.cursor).await.records.is_empty(),
        "the cursor did not move"
    );
}

#[tokio::test]
async fn what_changes_while_a_full_run_lists_is_found_by_the_next_incremental_run() {
    let at = StandIn::small().await;
    let session = at.session();
    let mut pull = patchbay_providers::Pull {
        stream: "catalog".into(),
        mode: PullMode::Full,
        cursor: None,
        position: None,
        started_at: session.now(),
    };
    let first = at.provider().pull(&session, &pull).await.expect("a page");
    let item = first
        .records
        .iter()
        .find(|record| record.kind == "item")
        .expect("an item");
    let updated = at.change(ChangeKind::ItemUpdated, Some(&item.external_id));
    pull.position = first.next;
    let cursor = loop {
        let page = at.provider().pull(&session, &pull).await.expect("a page");
        match page.next {
            Some(next) => pull.position = Some(next),
            None => break page.cursor,
        }
    };
    let run = at.changes("catalog", cursor).await;
    assert_eq!(run.ids(), [updated.as_str()].into());
    assert!(run.record(&updated).source_version > item.source_version);
}

#[tokio::test]
async fn deep_changes_are_paged_and_complete() {
    let sizes = Sizes {
        items: 1100,
        max_variations: 1,
        ..Sizes::default()
    };
    let at = StandIn::with(Dataset::seeded(3, &sizes)).await;
    let full = at.full("catalog").await;
    let items: BTreeSet<&str> = full
        .of_kind("item")
        .into_iter()
        .map(|item| item.external_id.as_str())
        .collect();
    for item in &items {
        at.change(ChangeKind::ItemUpdated, Some(item));
    }
    let run = at.changes("catalog", full.cursor.clone()).await;
    assert!(run.pages > 1, "one page proves no paging");
    assert_eq!(run.ids(), items);
}

#[tokio::test]
async fn rows_repeated_across_pages_do_no_harm() {
    let at = StandIn::small().await;
    at.sandbox
        .faults
        .add(Fault::everywhere(Effect::DuplicateItems))
        .expect("a fault");
    let run = at.full("catalog").await;
    assert!(run.records.len() > run.ids().len(), "nothing was repeated");
    let again = at.full("catalog").await;
    assert_eq!(run.ids(), again.ids());
    assert!(again.ids().len() > at.summary().items);
}

#[tokio::test]
async fn money_is_whole_minor_units_with_its_currency() {
    let at = StandIn::small().await;
    let run = at.full("catalog").await;
    let item = run.of_kind("item")[0];
    let raw = &item.raw["item_data"]["variations"][0]["item_variation_data"]["price_money"];
    let price = &item.data["variations"][0]["price"];
    assert_eq!(price, raw);
    assert!(
        matches!(price["amount"], Value::Number(_)) && price["currency"] == "USD",
        "{price}"
    );
}
