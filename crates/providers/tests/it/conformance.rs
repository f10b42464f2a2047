//! What each manifest declares, run against the provider's stand-in. A provider without
//! a stand-in, and a stream that does not do what its entry says, fail here.

use std::sync::Arc;

use chrono::TimeDelta;
use patchbay_core::{
    clock::{Clock, SystemClock},
    failure::FailureKind,
};
use patchbay_providers::{Mode, Provider, PullMode, Registry, Stream};
use patchbay_sandbox::{Effect, Fault};
use serde_json::json;

use crate::stand_in::{StandIn, run};

fn asked(mode: Mode) -> PullMode {
    let to = SystemClock.now();
    match mode {
        Mode::Incremental => PullMode::Incremental,
        Mode::Range => PullMode::Range {
            from: (to - TimeDelta::days(3650)).into(),
            to: to.into(),
        },
        Mode::Full => PullMode::Full,
    }
}

/// Every provider whose API has a stand-in. What speaks another protocol is tested against a
/// server of others (`tests/it/smtp`).
fn with_stand_ins(registry: &Registry) -> Vec<Arc<dyn Provider>> {
    let all = registry.all();
    all.filter(|provider| provider.manifest().target.is_none())
        .cloned()
        .collect()
}

#[tokio::test]
async fn every_provider_tells_whose_account_it_opened() {
    for provider in with_stand_ins(&Registry::builtin()) {
        let at = StandIn::of(&*provider).await;
        let account = provider.test(&at.session()).await.expect("an account");
        assert!(
            !account.key.is_empty() && !account.name.is_empty(),
            "{account:?}"
        );
        assert_eq!(
            provider.test(&at.session()).await,
            Ok(account),
            "the key changes from call to call"
        );
    }
}

/// What every test of an account answers to a fault of the provider's.
#[tokio::test]
async fn every_test_names_the_fault() {
    for provider in with_stand_ins(&Registry::builtin()) {
        let at = StandIn::of(&*provider).await;
        for (effect, kind) in [
            (Effect::ExpiredToken, FailureKind::Auth),
            (Effect::RevokedToken, FailureKind::Auth),
            (Effect::InsufficientScopes, FailureKind::Scope),
            (
                Effect::RateLimited { retry_after: None },
                FailureKind::RateLimited,
            ),
            (
                Effect::ServerError { status: 503 },
                FailureKind::ProviderDown,
            ),
            (
                Effect::DropConnection { after_bytes: 40 },
                FailureKind::ProviderDown,
            ),
            (Effect::MalformedJson, FailureKind::Protocol),
            (Effect::WrongContentType, FailureKind::Protocol),
        ] {
            let what = format!("{} under {}", provider.manifest().key, effect.name());
            let fault = Fault::everywhere(effect);
            at.sandbox.faults.add(fault).expect("a fault");
            let error = provider.test(&at.session()).await.expect_err(&what);
            assert_eq!(error.kind, kind, "{what}: {error}");
            assert!(
                !error.message.is_empty() && !error.action.is_empty(),
                "{what}: {error:?}"
            );
            at.sandbox.faults.clear();
        }
    }
}

#[tokio::test]
async fn an_action_that_is_not_declared_is_refused() {
    for provider in with_stand_ins(&Registry::builtin()) {
        let at = StandIn::of(&*provider).await;
        let error = provider
            .act(&at.session(), "no_such_action", &json!({}))
            .await
            .expect_err("refused");
        assert_eq!(error.kind, FailureKind::Invalid);
    }
}

#[tokio::test]
async fn every_declared_mode_of_every_stream_brings_records() {
    for provider in with_stand_ins(&Registry::builtin()) {
        let at = StandIn::of(&*provider).await;
        for stream in &provider.manifest().streams {
            for mode in &stream.modes {
                brings_records(&at, stream, *mode).await;
            }
        }
    }
}

async fn brings_records(at: &StandIn, stream: &Stream, mode: Mode) {
    let what = format!("{} {mode:?}", stream.key);
    let run = at
        .run(&stream.key, asked(mode), None)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(!run.records.is_empty(), "{what}: nothing came");
    assert_eq!(
        run.ids().len(),
        run.records.len(),
        "{what}: ids are not unique"
    );
    for record in &run.records {
        assert!(
            record.data.is_object() && record.raw.is_object(),
            "{what}: {record:?}"
        );
        assert!(
            !record.kind.is_empty() && record.source_version.is_some(),
            "{what}: {record:?}"
        );
    }
    // A run that saw everything may mark the rest as deleted; a range saw a part.
    assert_eq!(run.complete, mode != Mode::Range, "{what}: complete");
    assert_eq!(run.cursor.is_some(), mode != Mode::Range, "{what}: cursor");
    if let Some(cursor) = run.cursor {
        let next = at.changes(&stream.key, Some(cursor)).await;
        assert!(
            !next.complete,
            "{what}: changes since a cursor are not everything"
        );
        assert!(next.cursor.is_some(), "{what}: no cursor to go on from");
    }
}

#[tokio::test]
async fn what_is_not_declared_is_refused() {
    for provider in with_stand_ins(&Registry::builtin()) {
        let at = StandIn::of(&*provider).await;
        let error = at
            .run("no_such_stream", PullMode::Full, None)
            .await
            .expect_err("refused");
        assert_eq!(error.kind, FailureKind::Invalid);
        for stream in &provider.manifest().streams {
            for mode in [Mode::Incremental, Mode::Range, Mode::Full] {
                if !stream.modes.contains(&mode) {
                    let error = at
                        .run(&stream.key, asked(mode), None)
                        .await
                        .expect_err("refused");
                    assert_eq!(error.kind, FailureKind::Invalid, "{} {mode:?}", stream.key);
                }
            }
            let error = at
                .run(&stream.key, PullMode::Incremental, Some(json!(7)))
                .await
                .expect_err("refused");
            assert_eq!(
                error.kind,
                FailureKind::Invalid,
                "{}: a cursor that is none",
                stream.key
            );
        }
    }
}

#[tokio::test]
async fn every_stream_names_the_fault_and_never_runs_without_end() {
    for provider in with_stand_ins(&Registry::builtin()) {
        let at = StandIn::of(&*provider).await;
        for stream in &provider.manifest().streams {
            for (effect, kind) in [
                (Effect::ExpiredToken, FailureKind::Auth),
                (Effect::RevokedToken, FailureKind::Auth),
                (Effect::InsufficientScopes, FailureKind::Scope),
                (
                    Effect::RateLimited { retry_after: None },
                    FailureKind::RateLimited,
                ),
                (
                    Effect::ServerError { status: 500 },
                    FailureKind::ProviderDown,
                ),
                (
                    Effect::DropConnection { after_bytes: 40 },
                    FailureKind::ProviderDown,
                ),
                (Effect::MalformedJson, FailureKind::Protocol),
                (Effect::TruncatedBody, FailureKind::Protocol),
                (Effect::WrongContentType, FailureKind::Protocol),
                (
                    Effect::EndlessCursor { fresh: false },
                    FailureKind::Protocol,
                ),
                (Effect::EndlessCursor { fresh: true }, FailureKind::Protocol),
            ] {
                let what = format!("{} under {}", stream.key, effect.name());
                at.sandbox
                    .faults
                    .add(Fault::everywhere(effect))
                    .expect("a fault");
                let error = at
                    .run(&stream.key, PullMode::Full, None)
                    .await
                    .expect_err(&what);
                assert_eq!(error.kind, kind, "{what}: {error}");
                assert!(
                    !error.message.is_empty() && !error.action.is_empty(),
                    "{what}: {error:?}"
                );
                at.sandbox.faults.clear();
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_stays_out_of_the_words() {
    for provider in with_stand_ins(&Registry::builtin()) {
        let at = StandIn::of(&*provider).await;
        let session = at.session_with("wrong-t0ken-text", at.config.clone());
        let mut errors = vec![provider.test(&session).await.expect_err("refused")];
        for stream in &provider.manifest().streams {
            let run = run(&*provider, &session, &stream.key, PullMode::Full, None);
            errors.push(run.await.expect_err("refused"));
        }
        for error in errors {
            assert_eq!(error.kind, FailureKind::Auth, "{error:?}");
            assert!(
                !format!("{error:?} {session:?}").contains("t0ken"),
                "{error:?} {session:?}"
            );
        }
    }
}
