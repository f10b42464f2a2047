//! A refresh that brings other scopes than were granted.

use std::collections::BTreeSet;

use patchbay_core::{
    connection::{ConnectionStatus, Health},
    entities::credential as credentials,
    events::EventKind,
    failure::{FailureKind, NextActionKind},
    store::events::EventFilter,
};
use patchbay_providers::PullMode;
use patchbay_sandbox::faults::{Effect, Fault};
use sea_orm::{EntityTrait, IntoActiveModel, Set};
use serde_json::json;

use super::{
    desk::{consented, credential, only, renew},
    on_both_databases,
};
use crate::sync::desk::Desk;

on_both_databases!(scopes_that_were_taken_back_degrade_the_connection_until_they_are_given_again);

const TOKEN: &str = "POST /square/oauth2/token";

async fn scopes_that_were_taken_back_degrade_the_connection_until_they_are_given_again(desk: Desk) {
    let desk = consented(desk, 3_600).await;
    let granted = desk.ctx.providers.get("square").unwrap();
    let granted = granted.manifest().auth.scopes.clone();
    let mut known = credential(&desk).await.into_active_model();
    known.scopes = Set(Some(json!(granted)));
    credentials::Entity::update(known)
        .exec(desk.ctx.store.db())
        .await
        .unwrap();
    let seen = credential(&desk).await;

    // The same again takes nothing back.
    let answer = |scopes: &[String]| Effect::SetField {
        name: "scope".into(),
        value: json!(scopes.join(" ")),
    };
    only(&desk, Fault::at(TOKEN, answer(&granted)));
    renew(&desk, &desk.ctx, &seen).await.unwrap();
    assert_eq!(desk.row().await.shown_health(), Health::Healthy);

    let less: Vec<String> = granted
        .iter()
        .filter(|scope| *scope != "CUSTOMERS_READ")
        .cloned()
        .collect();
    only(&desk, Fault::at(TOKEN, answer(&less)));
    let seen = credential(&desk).await;
    renew(&desk, &desk.ctx, &seen).await.unwrap();
    let row = desk.row().await;
    assert_eq!(row.status, ConnectionStatus::Active);
    assert_eq!(row.shown_health(), Health::Degraded);
    let why = row.health_reason().unwrap();
    assert_eq!(why.kind, FailureKind::Scope);
    assert_eq!(why.what_next().kind, NextActionKind::Reconnect);
    assert!(
        why.message
            .contains("sync_customers (lacks CUSTOMERS_READ)")
    );
    let filter = EventFilter {
        kind: Some(EventKind::ConnectionHealthChanged),
        ..EventFilter::default()
    };
    let store = &desk.ctx.store;
    let events = store.events(desk.org, &filter, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0].data["from"], &events[0].data["to"]),
        (&json!("healthy"), &json!("degraded"))
    );
    desk.sandbox.faults.clear();
    desk.sync("catalog", PullMode::Full).await.unwrap();
    assert_eq!(desk.row().await.shown_health(), Health::Degraded);

    // Another is taken back, and the first given again.
    let other: Vec<String> = granted
        .iter()
        .filter(|scope| *scope != "ORDERS_READ")
        .cloned()
        .collect();
    for (scopes, lacks) in [(&other, Some("ORDERS_READ")), (&granted, None)] {
        only(&desk, Fault::at(TOKEN, answer(scopes)));
        let seen = credential(&desk).await;
        renew(&desk, &desk.ctx, &seen).await.unwrap();
        let lacking = desk.row().await.in_want().into_values().flatten();
        let lacking: BTreeSet<String> = lacking.collect();
        assert_eq!(lacking, lacks.map(str::to_owned).into_iter().collect());
    }
    let row = desk.row().await;
    assert_eq!(
        (row.shown_health(), row.health_reason()),
        (Health::Healthy, None)
    );
    let events = store.events(desk.org, &filter, 10).await.unwrap();
    assert_eq!(events.len(), 2, "{events:#?}");
    assert_eq!(
        (&events[0].data["from"], &events[0].data["to"]),
        (&json!("degraded"), &json!("healthy"))
    );
}
