//! Catalog syncs: what arrives, what is not rewritten, what is gone, what survives a crash.

use std::collections::HashMap;

use patchbay_core::job::Next;
use patchbay_providers::PullMode;
use patchbay_sandbox::{
    Effect, Fault,
    square::{DEFAULT_MERCHANT, data::ChangeKind},
};
use patchbay_worker::jobs;
use serde_json::json;

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    a_first_sync_brings_every_living_object,
    an_unchanged_record_keeps_its_change_number,
    a_deleted_item_is_marked_and_keeps_its_last_shape,
    a_full_sync_marks_what_it_did_not_see,
    a_sync_that_broke_off_goes_on_where_it_committed,
    a_sync_whose_place_the_provider_has_forgotten_begins_anew,
    a_stopped_sync_gives_the_job_back_without_burning_an_attempt,
    readers_by_change_number_see_every_change_once,
);

async fn a_first_sync_brings_every_living_object(desk: Desk) {
    let desk = desk.connected().await;
    let result = desk.sync("catalog", PullMode::Incremental).await.unwrap();
    let source = desk.sandbox.square.summaries()[DEFAULT_MERCHANT].clone();
    let items = desk
        .records("catalog")
        .await
        .iter()
        .filter(|record| record.kind == "item")
        .count();
    assert_eq!(items, source.items);
    assert_eq!(result["records"], json!(desk.living("catalog").await));
    assert_eq!(result["counts"]["created"], result["records"]);
}

async fn an_unchanged_record_keeps_its_change_number(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("catalog", PullMode::Full).await.unwrap();
    let before = desk.records("catalog").await;
    let result = desk.sync("catalog", PullMode::Full).await.unwrap();
    assert_eq!(result["counts"]["unchanged"], json!(before.len()));
    let after = desk.records("catalog").await;
    let numbers = |records: &[patchbay_core::entities::record::Model]| {
        records
            .iter()
            .map(|record| (record.external_id.clone(), record.change_no))
            .collect::<HashMap<_, _>>()
    };
    assert_eq!(numbers(&before), numbers(&after));
}

async fn a_deleted_item_is_marked_and_keeps_its_last_shape(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("catalog", PullMode::Incremental).await.unwrap();
    let changed = desk.change(ChangeKind::ItemDeleted, 1);
    let gone = changed.first().expect("one was deleted").clone();
    let before = desk
        .records("catalog")
        .await
        .into_iter()
        .find(|record| record.external_id == gone)
        .unwrap();
    desk.sync("catalog", PullMode::Incremental).await.unwrap();
    let after = desk
        .records("catalog")
        .await
        .into_iter()
        .find(|record| record.external_id == gone)
        .unwrap();
    assert!(before.deleted_at.is_none());
    assert!(after.deleted_at.is_some());
    assert_eq!(after.data, before.data);
    assert!(after.change_no > before.change_no);
}

async fn a_full_sync_marks_what_it_did_not_see(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("catalog", PullMode::Full).await.unwrap();
    let living = desk.living("catalog").await;
    let gone = desk.change(ChangeKind::ItemDeleted, 3);
    assert_eq!(gone.len(), 3);
    let result = desk.sync("catalog", PullMode::Full).await.unwrap();
    assert_eq!(desk.living("catalog").await, living - 3);
    assert_eq!(result["counts"]["deleted"], json!(3));
    let states = desk
        .ctx
        .store
        .stream_states(desk.org, desk.connection)
        .await
        .unwrap();
    assert_eq!(usize::try_from(states[0].records).unwrap(), living - 3);
}

async fn a_sync_that_broke_off_goes_on_where_it_committed(desk: Desk) {
    let desk = desk.connected().await;
    let lists = "GET /square/v2/catalog/list";
    let cut = Fault::at(lists, Effect::DropConnection { after_bytes: 100 }).after(2);
    desk.sandbox.faults.add(cut).unwrap();
    let run = desk.claim(desk.sync_job("catalog", PullMode::Full)).await;
    let error = jobs::run(&run, &desk.ctx)
        .await
        .expect_err("the connection drops at the third page");
    assert!(matches!(error.next, Next::Retry { .. }), "{error:?}");
    desk.settle(&run, &Err(error)).await;
    let committed = desk.living("catalog").await;
    assert!(committed > 0, "two pages were committed before the break");

    desk.sandbox.faults.clear();
    desk.sandbox.requests.clear();
    let again = desk.claim_again(run.job.id).await;
    let result = jobs::run(&again, &desk.ctx).await.unwrap();
    desk.settle(&again, &Ok(result.clone())).await;
    assert_eq!(result["records"], json!(desk.living("catalog").await));
    assert_eq!(
        result["counts"]["unchanged"],
        json!(0),
        "no page was read twice: {result}"
    );
    let progress = desk.job(run.job.id).await.progress.unwrap();
    assert_eq!(progress["done"], result["records"]);
}

async fn a_sync_whose_place_the_provider_has_forgotten_begins_anew(desk: Desk) {
    let desk = desk.connected().await;
    let lists = "GET /square/v2/catalog/list";
    let cut = Fault::at(lists, Effect::DropConnection { after_bytes: 100 }).after(2);
    desk.sandbox.faults.add(cut).unwrap();
    let run = desk.claim(desk.sync_job("catalog", PullMode::Full)).await;
    let error = jobs::run(&run, &desk.ctx).await.expect_err("it breaks off");
    desk.settle(&run, &Err(error)).await;
    desk.sandbox.faults.clear();
    desk.forget_cursors(run.job.id).await;

    let again = desk.claim_again(run.job.id).await;
    jobs::run(&again, &desk.ctx)
        .await
        .expect("it begins anew and ends");
    let source = desk.sandbox.square.summaries()[DEFAULT_MERCHANT].clone();
    let items = desk.records("catalog").await.into_iter();
    let items = items.filter(|record| record.kind == "item" && record.deleted_at.is_none());
    assert_eq!(items.count(), source.items);
}

async fn a_stopped_sync_gives_the_job_back_without_burning_an_attempt(desk: Desk) {
    let desk = desk.connected().await;
    desk.sandbox
        .faults
        .add(Fault::at("*catalog*", Effect::Latency { ms: 60_000 }))
        .unwrap();
    let run = desk.claim(desk.sync_job("catalog", PullMode::Full)).await;
    run.stop.cancel();
    let error = jobs::run(&run, &desk.ctx)
        .await
        .expect_err("it was asked to stop");
    assert_eq!(error.next, Next::Release);
    desk.settle(&run, &Err(error)).await;
    let job = desk.job(run.job.id).await;
    assert_eq!(
        (job.attempt, job.state),
        (0, patchbay_core::job::JobState::Queued)
    );
}

async fn readers_by_change_number_see_every_change_once(desk: Desk) {
    let desk = desk.connected().await;
    desk.sync("catalog", PullMode::Incremental).await.unwrap();
    let last = desk.records("catalog").await.last().unwrap().change_no;
    let changed = desk.change(ChangeKind::ItemUpdated, 5);
    desk.sync("catalog", PullMode::Incremental).await.unwrap();
    let filter = patchbay_core::store::records::RecordFilter {
        after: last,
        with_deleted: true,
        kind: None,
    };
    let seen = desk
        .ctx
        .store
        .records(desk.org, desk.connection, "catalog", &filter, 1_000)
        .await
        .unwrap();
    let mut ids: Vec<&str> = seen
        .iter()
        .map(|record| record.external_id.as_str())
        .collect();
    let mut expected: Vec<&str> = changed.iter().map(String::as_str).collect();
    ids.sort_unstable();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(ids, expected);
}
