//! One refresh, however many want it.

use std::time::Duration;

use futures::future::join_all;
use patchbay_core::store::credentials::refresh::{RefreshLease, RefreshTurn, Refreshed};
use patchbay_providers::PullMode;
use patchbay_sandbox::faults::{Effect, Fault};
use serde_json::json;
use uuid::Uuid;

use super::{
    desk::{consented, counted, credential, only, renew},
    on_both_databases,
};
use crate::sync::desk::Desk;

on_both_databases!(
    a_token_that_is_about_to_end_is_refreshed_before_it_is_used,
    a_token_that_ends_in_the_middle_of_a_sync_is_refreshed_and_the_sync_goes_on,
    two_hundred_that_want_it_in_four_processes_make_one_call,
    one_that_was_held_up_past_its_lease_writes_nothing,
);

async fn a_token_that_is_about_to_end_is_refreshed_before_it_is_used(desk: Desk) {
    let desk = consented(desk, 30).await;
    let before = credential(&desk).await;
    desk.sandbox.square.oauth.set_access_seconds(3_600);
    desk.sync("catalog", PullMode::Full).await.unwrap();
    let after = credential(&desk).await;
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 1);
    assert_eq!(after.version, before.version + 1);
    assert_eq!(after.id, before.id, "refreshed in place");
    assert_ne!(after.sealed, before.sealed);
    assert!(after.expires_at > before.expires_at);
    assert!(after.refresh_due_at < after.expires_at);
    assert!(after.refreshed_at.is_some() && after.refresh_by.is_none());
    desk.sync("customers", PullMode::Full).await.unwrap();
    assert_eq!(
        desk.sandbox.square.oauth.refresh_calls(),
        1,
        "and not again"
    );
}

async fn a_token_that_ends_in_the_middle_of_a_sync_is_refreshed_and_the_sync_goes_on(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    let refusal = Fault::at("GET /square/v2/catalog/list", Effect::ExpiredToken);
    only(&desk, refusal.after(1).times(1));
    let result = desk.sync("catalog", PullMode::Full).await.unwrap();
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 1);
    assert_eq!(result["records"], desk.living("catalog").await);
    assert_eq!(credential(&desk).await.version, 2);
    assert_eq!(desk.row().await.error_count, 0, "nobody need know");
}

async fn two_hundred_that_want_it_in_four_processes_make_one_call(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    let slow = Fault::at("POST /square/oauth2/token", Effect::LateAnswer { ms: 300 });
    only(&desk, slow);
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(desk.another_process().await);
    }
    let wanted = (0..200).map(|one| renew(&desk, &processes[one % 4], &seen));
    for version in join_all(wanted).await {
        assert_eq!(version.unwrap(), seen.version + 1);
    }
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 1);
    let count = |name| -> u64 { processes.iter().map(|ctx| counted(ctx, name)).sum() };
    assert_eq!((count("renewed"), count("joined")), (1, 3));
}

async fn one_that_was_held_up_past_its_lease_writes_nothing(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    let held_up = RefreshLease {
        credential: seen.id,
        version: seen.version,
        holder: Uuid::now_v7(),
    };
    let store = &desk.ctx.store;
    let turn = store.lease_refresh(held_up, Duration::ZERO).await.unwrap();
    assert!(matches!(
        turn,
        RefreshTurn::Mine {
            interrupted: false,
            ..
        }
    ));

    let version = renew(&desk, &desk.ctx, &seen).await.unwrap();
    assert_eq!(
        counted(&desk.ctx, "interrupted"),
        1,
        "somebody had asked before"
    );
    let in_force = credential(&desk).await;

    let late = Refreshed {
        sealed: b"what the provider gave it long ago".to_vec(),
        mask: json!({}),
        expires_at: None,
        refresh_expires_at: None,
        refresh_due_at: None,
        scopes: None,
    };
    let tx = store.begin().await.unwrap();
    assert_eq!(
        store.commit_refresh(&tx, held_up, late).await.unwrap(),
        None
    );
    tx.commit().await.unwrap();
    assert!(!store.postpone_refresh(held_up, 0).await.unwrap());
    assert_eq!(credential(&desk).await, in_force);
    assert_eq!(in_force.version, version);
}
