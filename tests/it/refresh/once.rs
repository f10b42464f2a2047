//! One refresh, however many want it.

use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use patchbay_core::{
    connection::ConnectionStatus,
    entities::credential as credentials,
    store::credentials::refresh::{RefreshLease, RefreshTurn, Refreshed},
};
use patchbay_providers::PullMode;
use patchbay_sandbox::faults::{Effect, Fault};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::json;
use uuid::Uuid;

use super::{
    desk::{consented, counted, credential, only, renew, until, until_asked},
    on_both_databases,
};
use crate::sync::desk::Desk;

on_both_databases!(
    a_token_that_is_about_to_end_is_refreshed_before_it_is_used,
    a_token_that_ends_in_the_middle_of_a_sync_is_refreshed_and_the_sync_goes_on,
    two_hundred_that_want_it_in_four_processes_make_one_call,
    one_that_was_held_up_past_its_lease_writes_nothing,
    a_refusal_that_comes_past_the_lease_ends_nothing_and_waits_for_who_took_over,
    a_token_that_comes_past_the_lease_is_not_used_and_waits_for_who_took_over,
    a_token_that_comes_past_the_lease_is_kept_where_who_took_over_got_none,
);

const TOKEN: &str = "POST /square/oauth2/token";
/// While the provider thinks about an answer, another takes over.
const SLOW: Effect = Effect::LateAnswer { ms: 2_000 };

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
    let slow = Fault::at(TOKEN, Effect::LateAnswer { ms: 300 });
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

/// Another holds the lease from now on, as if that of the one before had run out.
async fn take_over(desk: &Desk, seen: &credentials::Model) -> RefreshLease {
    let lease = RefreshLease {
        credential: seen.id,
        version: seen.version,
        holder: Uuid::now_v7(),
    };
    let change = credentials::ActiveModel {
        id: Set(seen.id),
        refresh_by: Set(Some(lease.holder)),
        refresh_until: Set(Some(desk.ctx.clock.now() + TimeDelta::minutes(10))),
        ..Default::default()
    };
    let db = desk.ctx.store.db();
    credentials::Entity::update(change).exec(db).await.unwrap();
    lease
}

/// One whose answer comes past its lease: the row stays with the other, also once `heard` of it
/// was counted; then the other commits, and the first takes what it brought.
async fn late(desk: &Desk, seen: &credentials::Model, heard: Option<&str>) {
    only(desk, Fault::at(TOKEN, SLOW));
    let other = async {
        until_asked(desk).await;
        let lease = take_over(desk, seen).await;
        if let Some(counts) = heard {
            until(counts, || counted(&desk.ctx, counts) == 1).await;
        }
        let held = credential(desk).await;
        assert_eq!(held.refresh_by, Some(lease.holder));
        assert_eq!((held.version, held.refused_at), (seen.version, None));
        assert_eq!(held.sealed, seen.sealed);
        assert_eq!(desk.status().await, ConnectionStatus::Active);
        let store = &desk.ctx.store;
        let tx = store.begin().await.unwrap();
        let brought = Refreshed {
            sealed: held.sealed.unwrap(),
            mask: json!({}),
            expires_at: Some(desk.ctx.clock.now() + TimeDelta::hours(1)),
            refresh_expires_at: None,
            refresh_due_at: None,
            scopes: None,
        };
        let version = store.commit_refresh(&tx, lease, brought).await.unwrap();
        tx.commit().await.unwrap();
        version
    };
    let (late, brought) = tokio::join!(renew(desk, &desk.ctx, seen), other);
    assert_eq!(brought, Some(seen.version + 1));
    assert_eq!(late.unwrap(), seen.version + 1);
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 1);
    let counted = ["renewed", "refused", "joined"].map(|name| counted(&desk.ctx, name));
    assert_eq!(counted, [0, 0, 1]);
}

async fn a_refusal_that_comes_past_the_lease_ends_nothing_and_waits_for_who_took_over(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    // What it asks with is refused; what the other was given is good.
    desk.sandbox.square.oauth.take_back(None);
    late(&desk, &seen, Some("refused_late")).await;
}

async fn a_token_that_comes_past_the_lease_is_not_used_and_waits_for_who_took_over(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    // It waits for the other before it drops what it holds.
    late(&desk, &seen, None).await;
    assert_eq!(counted(&desk.ctx, "uncommitted"), 1);
}

/// What it holds is the only successor of what the row holds: asking with that again would end
/// the grant.
async fn a_token_that_comes_past_the_lease_is_kept_where_who_took_over_got_none(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    only(&desk, Fault::at(TOKEN, SLOW));
    let other = async {
        until_asked(&desk).await;
        let lease = take_over(&desk, &seen).await;
        desk.ctx.store.postpone_refresh(lease, 0).await.unwrap()
    };
    let (late, put_off) = tokio::join!(renew(&desk, &desk.ctx, &seen), other);
    assert!(put_off);
    assert_eq!(late.unwrap(), seen.version + 1);
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 1);
    let counted = ["renewed", "uncommitted"].map(|name| counted(&desk.ctx, name));
    assert_eq!(counted, [1, 0]);
    // The provider takes it.
    let result = desk.sync("customers", PullMode::Full).await.unwrap();
    assert_eq!(result["records"], desk.living("customers").await);
}
