//! A mail server that does not answer is left alone; one that refuses is not.

use std::{net::TcpListener, sync::Arc};

use patchbay_core::{
    breaker::{Breaker, FAILURES},
    failure::FailureKind,
    job::Next,
    outbound::Outbound,
    secret::{Secret, SecretFields},
};
use patchbay_providers::{ProviderError, Session};
use serde_json::{Value, json};

use super::post_office::{PASSWORD, PostOffice, ServerPlan};
use crate::guarded::guarded;

fn session(office: &PostOffice, outbound: &Arc<Outbound>, config: Value, secret: &str) -> Session {
    let ctx = &office.desk.ctx;
    let provider = ctx.providers.get("smtp").unwrap();
    let mut fields = SecretFields::default();
    if config.get("username").is_some() {
        fields.0.insert("password".to_owned(), Secret::new(secret));
    }
    ctx.providers.open(
        &**provider,
        Arc::clone(outbound),
        ctx.clock.clone(),
        config,
        fields,
        None,
    )
}

async fn test(office: &PostOffice, session: &Session) -> Result<(), ProviderError> {
    let provider = office.desk.ctx.providers.get("smtp").unwrap();
    provider.test(session).await.map(drop)
}

async fn only_breaker(office: &PostOffice) -> Option<((String, String), Breaker)> {
    let (rows, _) = office.desk.ctx.store.breakers().await.unwrap();
    assert!(rows.len() < 2, "{rows:?}");
    rows.into_iter().next()
}

/// A config that leads to a port where nobody is.
fn nobody(office: &PostOffice) -> Value {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = office.config();
    config["port"] = json!(free.local_addr().unwrap().port());
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_left_alone_but_not_by_a_persons_test() {
    let office = PostOffice::on_sqlite(ServerPlan::of("starttls")).await;
    let outbound = guarded(&office.desk.ctx.store);
    let config = nobody(&office);
    let port = config["port"].clone();
    let mut session = session(&office, &outbound, config, PASSWORD);
    for _ in 0..FAILURES {
        let error = test(&office, &session).await.unwrap_err();
        assert_eq!(
            (error.kind, error.paused),
            (FailureKind::ProviderDown, false)
        );
    }
    let ((provider, origin), opened) = only_breaker(&office).await.unwrap();
    assert_eq!(provider, "smtp");
    assert_eq!(origin, format!("smtp://127.0.0.1:{port}"));
    assert!(opened.opened_at.is_some());
    let held = test(&office, &session).await.unwrap_err();
    assert!(held.paused, "{held:?}");
    let next = held.into_job_error(session.now(), Some(1)).next;
    assert!(matches!(next, Next::Snooze { .. }), "{next:?}");
    session.subject.exempt = true;
    let tried = test(&office, &session).await.unwrap_err();
    assert!(!tried.paused, "a person's test goes out: {tried:?}");
    assert!(
        office
            .desk
            .ctx
            .providers
            .origins("smtp", &session.config)
            .iter()
            .any(|one| one.to_string() == origin),
        "who uses it is told of it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_wrong_authority_are_no_fault_of_the_server() {
    let office = PostOffice::on_sqlite(ServerPlan::of("starttls")).await;
    let outbound = guarded(&office.desk.ctx.store);
    let wrong = session(&office, &outbound, office.config(), "wrong");
    let mut config = office.config();
    config["ca_certificates"] = Value::Null;
    let stranger = session(&office, &outbound, config, PASSWORD);
    for _ in 0..FAILURES {
        let error = test(&office, &wrong).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Auth, "{error:?}");
        test(&office, &stranger).await.unwrap_err();
    }
    assert_eq!(only_breaker(&office).await, None);
    let right = session(&office, &outbound, office.config(), PASSWORD);
    test(&office, &right).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_counts_as_one_that_is_away() {
    let plan = ServerPlan {
        hang: Some("ehlo"),
        ..ServerPlan::open()
    };
    let silent = PostOffice::on_sqlite(plan).await;
    let outbound = guarded(&silent.desk.ctx.store);
    let mut config = silent.config();
    config["timeout_seconds"] = json!(1);
    let session = session(&silent, &outbound, config, PASSWORD);
    let error = test(&silent, &session).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Timeout, "{error:?}");
    let (_, failing) = only_breaker(&silent).await.unwrap();
    assert_eq!((failing.failures, failing.opened_at), (1, None));
}
