//! What checks that fail do to a connection.

use patchbay_core::{
    connection::{ConnectionStatus, Health, Shortfall},
    events::EventKind,
    failure::NextActionKind,
    health::window::Window,
    job::{JobKind, JobState, NewJob, Queue},
    store::events::EventFilter,
};
use patchbay_providers::{PullMode, SyncArgs};
use patchbay_sandbox::{
    Effect, Fault,
    square::{DEFAULT_MERCHANT, Token},
};
use serde_json::{Value, json};

use super::{
    clinic::{Clinic, Patient},
    on_both_databases,
};

on_both_databases!(
    one_broken_connection_among_many_breaks_alone,
    one_blip_is_no_outage_and_an_outage_is_told_once,
    the_log_says_what_is_shown_where_a_grant_lacks_something,
    a_credential_that_works_again_mends_the_connection,
    too_many_calls_count_neither_way_and_are_waited_out,
    a_check_by_a_person_is_kept_in_the_log,
    a_failed_sync_asks_for_a_check,
);

async fn health(clinic: &Clinic, patient: Patient) -> Health {
    clinic.row(patient).await.health
}

async fn one_broken_connection_among_many_breaks_alone(clinic: Clinic) {
    let mut patients = clinic.patients(20).await;
    let broken = clinic.patient_with("not-a-token-of-square").await;
    patients.extend(clinic.patients(10).await);
    clinic.round().await;
    let row = clinic.row(broken).await;
    assert_eq!(
        (row.status, row.health),
        (ConnectionStatus::Error, Health::Failing)
    );
    let error = row.last_error.unwrap();
    assert_eq!(error["kind"], "auth");
    assert_eq!(error["next_action"]["kind"], "set_credential");
    assert!(!error["impact"].as_str().unwrap().is_empty());
    assert_eq!(row.error_count, 1);
    assert_eq!(clinic.counted(broken).await, (1, 1));
    for patient in patients {
        let row = clinic.row(patient).await;
        assert_eq!(
            (row.status, row.health),
            (ConnectionStatus::Active, Health::Healthy)
        );
        assert_eq!(clinic.counted(patient).await, (1, 0));
    }
    // It is asked about again, once an hour; when in the hour depends on its id.
    clinic.advance(60).await;
    for job in clinic.tick().await {
        clinic.work(job).await.unwrap();
    }
    assert_eq!(clinic.counted(broken).await, (2, 2));
}

async fn one_blip_is_no_outage_and_an_outage_is_told_once(clinic: Clinic) {
    let patient = clinic.patient().await;
    let outage = || {
        let fault = Fault::everywhere(Effect::MalformedJson);
        clinic.sandbox.faults.add(fault).unwrap();
    };
    clinic.round().await;
    outage();
    clinic.round().await;
    assert_eq!(health(&clinic, patient).await, Health::Healthy);
    let row = clinic.row(patient).await;
    assert_eq!(row.error_count, 1);
    assert_eq!(row.last_error.unwrap()["kind"], "protocol");
    clinic.sandbox.faults.clear();
    clinic.round().await;
    assert_eq!(clinic.row(patient).await.error_count, 0);
    outage();
    let mut shown = Vec::new();
    for _ in 0..4 {
        clinic.round().await;
        shown.push(health(&clinic, patient).await);
    }
    clinic.sandbox.faults.clear();
    for _ in 0..4 {
        clinic.round().await;
        shown.push(health(&clinic, patient).await);
    }
    use Health::{Degraded, Failing, Healthy};
    assert_eq!(
        shown,
        [
            Degraded, Degraded, Failing, Failing, Failing, Degraded, Degraded, Healthy
        ]
    );
    let told = told(&clinic, patient).await;
    assert_eq!(told.len(), 4, "{told:#?}");
}

/// What the log says of the health, oldest first, as from and to.
pub async fn told(clinic: &Clinic, patient: Patient) -> Vec<(Value, Value)> {
    let filter = EventFilter {
        connection: Some(patient.id),
        kind: Some(EventKind::ConnectionHealthChanged),
        ..EventFilter::default()
    };
    let store = &clinic.ctx.store;
    let events = store.events(patient.org, &filter, 100).await.unwrap();
    let events = events.into_iter().rev();
    events
        .map(|event| (event.data["from"].clone(), event.data["to"].clone()))
        .collect()
}

async fn the_log_says_what_is_shown_where_a_grant_lacks_something(clinic: Clinic) {
    let patient = clinic.patient().await;
    let store = &clinic.ctx.store;
    let tx = store.begin().await.unwrap();
    let row = store.lock_connection(&tx, patient.org, patient.id).await;
    let lacks = Shortfall::from([("sync_sales".to_owned(), vec!["ORDERS_READ".to_owned()])]);
    store
        .set_refused(&tx, &row.unwrap().unwrap(), &lacks, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    clinic.round().await;
    let fault = Fault::everywhere(Effect::MalformedJson);
    clinic.sandbox.faults.add(fault).unwrap();
    let mut known = Vec::new();
    for round in 0..8 {
        if round == 3 {
            clinic.sandbox.faults.clear();
        }
        clinic.round().await;
        known.push(health(&clinic, patient).await);
    }
    use Health::{Degraded, Failing, Healthy};
    assert_eq!(
        known,
        [
            Healthy, Degraded, Failing, Failing, Degraded, Degraded, Healthy, Healthy
        ],
        "what checks say, which the shortfall hides in part"
    );
    let health = |from: Health, to: Health| (json!(from), json!(to));
    assert_eq!(
        told(&clinic, patient).await,
        [
            health(Healthy, Degraded),
            health(Degraded, Failing),
            health(Failing, Degraded)
        ]
    );
}

async fn a_credential_that_works_again_mends_the_connection(clinic: Clinic) {
    let patient = clinic.patient_with("token-that-comes-back").await;
    clinic.round().await;
    assert_eq!(clinic.row(patient).await.status, ConnectionStatus::Error);
    let parked = clinic.enqueue(sync_of(patient)).await;
    let tx = clinic.ctx.store.begin().await.unwrap();
    let jobs = clinic.ctx.store.jobs();
    jobs.park_queued(&tx, patient.id).await.unwrap();
    tx.commit().await.unwrap();
    clinic
        .sandbox
        .square
        .set_token(Token::new("token-that-comes-back", DEFAULT_MERCHANT))
        .unwrap();
    clinic.advance(60).await;
    for job in clinic.tick().await {
        clinic.work(job).await.unwrap();
    }
    let row = clinic.row(patient).await;
    assert_eq!(
        (row.status, row.health, row.error_count),
        (ConnectionStatus::Active, Health::Healthy, 0)
    );
    assert_eq!(clinic.state(parked).await, JobState::Queued);
    clinic.round().await;
    assert_eq!(clinic.counted(patient).await, (3, 1));
}

fn sync_of(patient: Patient) -> NewJob {
    let args = SyncArgs {
        stream: "customers".into(),
        pull: PullMode::Incremental,
    };
    NewJob {
        connection: Some(patient.id),
        args: serde_json::to_value(args).unwrap(),
        ..NewJob::new(Some(patient.org), JobKind::Sync, Queue::Sync, "test")
    }
}

async fn too_many_calls_count_neither_way_and_are_waited_out(clinic: Clinic) {
    let patient = clinic.patient().await;
    let fault = Fault::everywhere(Effect::RateLimited {
        retry_after: Some(1_200),
    });
    clinic.sandbox.faults.add(fault).unwrap();
    clinic.round().await;
    clinic.sandbox.faults.clear();
    assert_eq!(clinic.counted(patient).await, (0, 0));
    let row = clinic.row(patient).await;
    assert_eq!((row.health, row.error_count), (Health::Healthy, 0));
    let picture = clinic.picture(patient, Window::Day).await;
    assert_eq!(picture.last.len(), 1, "it is among the last checks");
    let errors = clinic
        .ctx
        .store
        .failed_checks(patient.org, patient.id, picture.from, 10)
        .await
        .unwrap();
    let failure = errors[0].failure.clone().unwrap();
    assert_eq!(
        failure["next_action"]["kind"],
        NextActionKind::WaitUntil.name()
    );
    assert!(failure["next_action"]["until"].is_string(), "{failure}");
    clinic.round().await;
    assert_eq!(clinic.counted(patient).await, (0, 0), "not before it may");
    clinic.advance(20).await;
    for job in clinic.tick().await {
        clinic.work(job).await.unwrap();
    }
    assert_eq!(clinic.counted(patient).await, (1, 0));
}

async fn a_check_by_a_person_is_kept_in_the_log(clinic: Clinic) {
    let patient = clinic.patient().await;
    clinic.round().await;
    let answer = clinic.check(patient).await.unwrap();
    assert_eq!(
        (&answer["ok"], &answer["account"]["key"]),
        (&true.into(), &DEFAULT_MERCHANT.into())
    );
    let log = clinic
        .ctx
        .store
        .health_log(patient.org, patient.id, 10)
        .await
        .unwrap();
    assert_eq!(
        log.len(),
        1,
        "what the clock asked for and passed has no line"
    );
    assert_eq!((log[0].kind.as_str(), log[0].ok), ("manual", true));
    assert_eq!(clinic.counted(patient).await, (2, 0));
    clinic
        .sandbox
        .faults
        .add(Fault::everywhere(Effect::RevokedToken))
        .unwrap();
    let answer = clinic.check(patient).await.unwrap();
    assert_eq!(
        (&answer["ok"], &answer["failure"]["kind"]),
        (&false.into(), &"auth".into())
    );
    assert_eq!(clinic.row(patient).await.status, ConnectionStatus::Error);
}

async fn a_failed_sync_asks_for_a_check(clinic: Clinic) {
    let patient = clinic.patient().await;
    clinic
        .sandbox
        .faults
        .add(Fault::at("*customers*", Effect::InsufficientScopes))
        .unwrap();
    let sync = clinic.enqueue(sync_of(patient)).await;
    clinic.work(sync).await.expect_err("the token may not");
    let open = clinic.ctx.store.jobs_active(patient.org, 10).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].kind, JobKind::HealthCheck);
    clinic.work(open[0].id).await.unwrap();
    let row = clinic.row(patient).await;
    assert_eq!(
        row.health,
        Health::Healthy,
        "it was the work, not the connection"
    );
    let picture = clinic.picture(patient, Window::Hour).await;
    assert_eq!(picture.last[0].reason.name(), "auto");
}
