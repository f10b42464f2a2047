//! Stream `files`: list, feeds of changes, shared drives.

use patchbay_core::failure::FailureKind;
use patchbay_providers::{Page, Pull, PullMode, PulledRecord};
use patchbay_sandbox::{
    Effect, Fault,
    google::{
        DEFAULT_ACCOUNT,
        data::{DriveChangeKind, DriveSummary},
    },
};
use serde_json::json;

use crate::stand_in::{Run, StandIn};
use patchbay_core::clock::{Clock, SystemClock};

async fn drive() -> StandIn {
    let mut at = StandIn::unconnected("google_drive").await;
    at.connect_for_good().await;
    at
}

fn summary(at: &StandIn) -> DriveSummary {
    at.sandbox
        .google
        .summaries()
        .remove(DEFAULT_ACCOUNT)
        .expect("the account")
}

fn change(at: &StandIn, kind: DriveChangeKind, id: Option<&str>) -> String {
    let change = at.sandbox.google.change(DEFAULT_ACCOUNT, kind, id);
    change.expect("something to change").id
}

fn only(run: &Run, id: &str) -> PulledRecord {
    let found: Vec<&PulledRecord> = run
        .records
        .iter()
        .filter(|it| it.external_id == id)
        .collect();
    assert_eq!(found.len(), 1, "{id} of {:?}", run.ids());
    found[0].clone()
}

#[tokio::test]
async fn a_full_run_brings_every_file_of_the_account_and_of_its_shared_drives() {
    let at = drive().await;
    let run = at.full("files").await;
    let known = summary(&at);
    assert_eq!(run.of_kind("folder").len(), known.folders);
    assert_eq!(run.of_kind("file").len(), known.files + known.shared);
    assert!(run.complete && run.records.iter().all(|record| !record.deleted));
    let shared = run
        .records
        .iter()
        .filter(|it| it.data.get("drive_id").is_some());
    assert_eq!(shared.count(), known.shared);
    let document = run
        .records
        .iter()
        .find(|it| it.data["mime_type"] == "application/vnd.google-apps.document")
        .expect("a document");
    assert!(document.data.get("size").is_none() && document.data["link"].is_string());
}

#[tokio::test]
async fn shared_drives_can_be_left_out() {
    let mut at = drive().await;
    at.config = json!({ "shared_drives": false });
    let run = at.full("files").await;
    assert_eq!(run.of_kind("file").len(), summary(&at).files);
    // Later they are wanted: a drive that is new to the stream is listed.
    at.config = json!({ "shared_drives": true });
    let next = at.changes("files", run.cursor).await;
    assert_eq!(next.records.len(), summary(&at).shared);
    assert!(!next.complete);
    assert!(at.changes("files", next.cursor).await.records.is_empty());
}

#[tokio::test]
async fn changes_are_replayed_and_trash_and_removal_count_as_deleted() {
    let at = drive().await;
    let full = at.full("files").await;
    let nothing = at.changes("files", full.cursor.clone()).await;
    assert!(nothing.records.is_empty());

    let created = change(&at, DriveChangeKind::DocumentCreated, None);
    let renamed = change(&at, DriveChangeKind::FileRenamed, None);
    let trashed = change(&at, DriveChangeKind::FileTrashed, None);
    let removed = change(&at, DriveChangeKind::FileRemoved, None);
    let run = at.changes("files", nothing.cursor).await;
    assert!(!only(&run, &created).deleted);
    if renamed != trashed && renamed != removed {
        let record = only(&run, &renamed);
        let name = record.data["name"].as_str().expect("a name").to_owned();
        assert!(name.ends_with(" (new)"), "{name}");
        assert!(record.source_version > full.record(&renamed).source_version);
    }
    assert!(only(&run, &trashed).deleted && only(&run, &removed).deleted);

    if trashed != removed {
        let back = change(&at, DriveChangeKind::FileUntrashed, Some(&trashed));
        let run = at.changes("files", run.cursor).await;
        assert!(!only(&run, &back).deleted);
        assert_eq!(run.records.len(), 1);
    }
}

#[tokio::test]
async fn a_shared_drive_s_own_feed_is_replayed() {
    let at = drive().await;
    let full = at.full("files").await;
    let shared = full
        .records
        .iter()
        .find(|it| it.data.get("drive_id").is_some());
    let shared = shared.expect("a shared file").external_id.clone();
    change(&at, DriveChangeKind::FileRenamed, Some(&shared));
    let drive = full.record(&shared).data["drive_id"].clone();
    let feeds = full.cursor.clone().expect("a cursor");
    let of_drive = feeds["feeds"].as_array().expect("feeds").iter();
    let feed = of_drive.filter(|feed| feed["drive"] == drive).count();
    assert_eq!(feed, 1, "{feeds}");
    let run = at.changes("files", full.cursor).await;
    assert!(run.ids().contains(shared.as_str()));
}

#[tokio::test]
async fn what_changes_while_a_run_lists_comes_with_the_next() {
    let at = drive().await;
    let session = at.session();
    let pull = |position| Pull {
        stream: "files".into(),
        mode: PullMode::Full,
        cursor: None,
        position,
        started_at: SystemClock.now(),
    };
    let first: Page = at
        .provider()
        .pull(&session, &pull(None))
        .await
        .expect("a page");
    let created = change(&at, DriveChangeKind::DocumentCreated, None);
    let mut position = first.next;
    let mut cursor = first.cursor;
    while let Some(next) = position {
        let page = at
            .provider()
            .pull(&session, &pull(Some(next)))
            .await
            .expect("a page");
        (position, cursor) = (page.next, page.cursor);
    }
    let run = at.changes("files", cursor).await;
    assert!(run.ids().contains(created.as_str()), "{:?}", run.ids());
}

#[tokio::test]
async fn a_range_is_refused_and_a_foreign_cursor_says_what_to_do() {
    let at = drive().await;
    let now = SystemClock.now();
    let range = PullMode::Range {
        from: now.into(),
        to: now.into(),
    };
    let error = at.run("files", range, None).await.expect_err("refused");
    assert_eq!(error.kind, FailureKind::Invalid);
    let foreign = json!({ "feeds": [{ "token": "no-such-place" }] });
    let run = at.run("files", PullMode::Incremental, Some(foreign)).await;
    let error = run.expect_err("refused");
    assert_eq!(error.kind, FailureKind::Invalid);
    assert!(
        !error.place_forgotten && error.action.contains("full sync"),
        "{error:?}"
    );
}

#[tokio::test]
async fn googles_own_words_for_haste_are_waited_out() {
    let at = drive().await;
    let quota = Effect::QuotaExceeded {
        reason: "userRateLimitExceeded".into(),
    };
    let fault = Fault::at("GET /google/drive/v3/files", quota).times(2);
    at.sandbox.faults.add(fault).expect("a fault");
    assert!(!at.full("files").await.records.is_empty());
    let quota = Effect::QuotaExceeded {
        reason: "dailyLimitExceeded".into(),
    };
    let fault = Fault::at("GET /google/drive/v3/files", quota);
    at.sandbox.faults.add(fault).expect("a fault");
    let error = at
        .run("files", PullMode::Full, None)
        .await
        .expect_err("refused");
    assert_eq!(error.kind, FailureKind::RateLimited);
    assert_eq!(error.code.as_deref(), Some("dailyLimitExceeded"));
}
