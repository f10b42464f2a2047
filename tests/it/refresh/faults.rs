//! What is no refusal never ends a connection.

use std::sync::Arc;

use patchbay_core::{connection::ConnectionStatus, job::JobState};
use patchbay_providers::PullMode;
use patchbay_sandbox::faults::{Effect, Fault};
use patchbay_worker::refresh::RefreshError;

use super::{
    desk::{consented, counted, credential, only, renew},
    on_both_databases,
};
use crate::sync::desk::Desk;

on_both_databases!(
    a_provider_in_trouble_postpones_the_refresh_and_breaks_nothing,
    an_answer_lost_on_the_wire_is_counted_and_asked_for_again,
    an_answer_that_is_no_token_breaks_nothing,
    a_token_that_still_works_is_used_while_it_cannot_be_renewed,
    a_worker_without_the_client_is_set_up_wrongly_and_breaks_nothing,
);

const TOKEN: &str = "POST /square/oauth2/token";

async fn a_provider_in_trouble_postpones_the_refresh_and_breaks_nothing(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    let troubles = [
        Effect::ServerError { status: 503 },
        Effect::RateLimited {
            retry_after: Some(7),
        },
    ];
    for (failures, trouble) in (1..).zip(troubles) {
        only(&desk, Fault::at(TOKEN, trouble));
        let outcome = renew(&desk, &desk.ctx, &seen).await;
        assert!(
            matches!(outcome, Err(RefreshError::Later { .. })),
            "{outcome:?}"
        );
        let row = credential(&desk).await;
        assert_eq!(row.refresh_failures, failures);
        assert_eq!((row.version, row.refresh_by), (seen.version, None));
        assert_eq!(desk.status().await, ConnectionStatus::Active);
    }
    assert_eq!(counted(&desk.ctx, "postponed"), 2);
    desk.sandbox.faults.clear();
    assert_eq!(
        renew(&desk, &desk.ctx, &seen).await.unwrap(),
        seen.version + 1
    );
    assert_eq!(credential(&desk).await.refresh_failures, 0);
}

async fn an_answer_lost_on_the_wire_is_counted_and_asked_for_again(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    let lost = Fault::at(TOKEN, Effect::LostAnswer);
    only(&desk, lost.times(1));
    let outcome = renew(&desk, &desk.ctx, &seen).await;
    assert!(
        matches!(outcome, Err(RefreshError::Later { .. })),
        "{outcome:?}"
    );
    assert_eq!(counted(&desk.ctx, "unanswered"), 1);
    assert_eq!(desk.status().await, ConnectionStatus::Active);
    // This provider does not rotate: the same refresh token serves again.
    assert_eq!(
        renew(&desk, &desk.ctx, &seen).await.unwrap(),
        seen.version + 1
    );
}

async fn an_answer_that_is_no_token_breaks_nothing(desk: Desk) {
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    let spoiled = [
        Effect::WrongContentType,
        Effect::MalformedJson,
        Effect::HugeBody { bytes: 70_000 },
        Effect::RemoveField {
            name: "access_token".into(),
        },
    ];
    for (count, effect) in (1..).zip(spoiled) {
        only(&desk, Fault::at(TOKEN, effect));
        let outcome = renew(&desk, &desk.ctx, &seen).await;
        assert!(
            matches!(outcome, Err(RefreshError::Later { .. })),
            "{outcome:?}"
        );
        assert_eq!(counted(&desk.ctx, "unanswered"), count);
        assert_eq!(desk.status().await, ConnectionStatus::Active);
    }
}

async fn a_token_that_still_works_is_used_while_it_cannot_be_renewed(desk: Desk) {
    let desk = consented(desk, 30).await;
    let down = Fault::at(TOKEN, Effect::ServerError { status: 500 });
    only(&desk, down);
    let run = desk.claim(desk.sync_job("customers", PullMode::Full)).await;
    let outcome = patchbay_worker::jobs::run(&run, &desk.ctx).await;
    desk.settle(&run, &outcome).await;
    outcome.unwrap();
    assert_eq!(desk.state(run.job.id).await, JobState::Succeeded);
    assert_eq!(credential(&desk).await.version, 1);
}

async fn a_worker_without_the_client_is_set_up_wrongly_and_breaks_nothing(desk: Desk) {
    let mut desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    desk.ctx.clients = Arc::default();
    let outcome = renew(&desk, &desk.ctx, &seen).await;
    assert!(
        matches!(outcome, Err(RefreshError::Later { .. })),
        "{outcome:?}"
    );
    assert_eq!(counted(&desk.ctx, "misconfigured"), 1);
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 0);
    assert_eq!(desk.status().await, ConnectionStatus::Active);
}
