//! What is forgotten by age, and what duties report.

use std::time::Duration;

use patchbay_core::{
    entities::{event, health_check, job_log, schedule_tick},
    events::EventKind,
    ids::{HealthCheckId, JobId, OrgId},
    job::{JobState, NewJob, Settle},
    store::{duties::DutyStatus, events::NewEvent, jobs::LogLine},
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait};
use serde_json::json;

use crate::{
    on_both,
    schedules::{every, of},
    stage::{Stage, fail, noop, succeed},
};

on_both! {
    old_lines_of_the_activity_log_go_a_batch_at_a_time,
    old_checks_and_ticks_go_young_ones_stay,
    old_jobs_lose_what_they_carried_and_stay,
    payloads_are_emptied_a_batch_at_a_time_and_once,
    operators_read_what_the_duties_of_living_processes_did,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn tell(stage: &Stage, org: OrgId) {
    let tx = stage.store.begin().await.unwrap();
    let line = NewEvent::new(org, EventKind::SyncRequested, "test");
    stage.store.record_event(&tx, line).await.unwrap();
    tx.commit().await.unwrap();
}

async fn old_lines_of_the_activity_log_go_a_batch_at_a_time(stage: Stage) {
    let org = stage.org().await;
    for _ in 0..5 {
        tell(&stage, org).await;
    }
    stage.advance(DAY).await;
    tell(&stage, org).await;
    let kept = DAY / 2;
    let mut pruned = Vec::new();
    for _ in 0..3 {
        pruned.push(stage.store.prune_events(kept, 3).await.unwrap());
    }
    assert_eq!(pruned, [3, 2, 0]);
    let left = event::Entity::find().all(stage.store.db()).await.unwrap();
    assert_eq!(left.len(), 1);
}

async fn old_checks_and_ticks_go_young_ones_stay(stage: Stage) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let schedule = stage.schedule(of(org, connection, every("1h"))).await;
    for _ in 0..2 {
        stage.advance(DAY).await;
        stage.tick().await;
        let check = health_check::ActiveModel {
            id: Set(HealthCheckId::new(stage.store.clock())),
            org_id: Set(org),
            connection_id: Set(connection),
            kind: Set("manual".into()),
            ok: Set(true),
            response_ms: Set(7),
            at: Set(stage.store.clock().now()),
            ..Default::default()
        };
        check.insert(stage.store.db()).await.unwrap();
    }
    let ticks = stage.ticks(schedule.id).await;
    assert_eq!(stage.store.prune_health_log(DAY / 2, 10).await.unwrap(), 1);
    let pruned = stage.store.prune_ticks(DAY / 2, 10).await.unwrap();
    let left = schedule_tick::Entity::find().all(stage.store.db()).await;
    let left = left.unwrap();
    // Of each look the stretch that was passed over, and the newest.
    assert_eq!((pruned, left.len(), ticks.len()), (2, 2, 4));
    assert!(left.iter().all(|left| left.tick > ticks[1].0));
}

async fn ended(stage: &Stage, org: OrgId, end: Settle) -> JobId {
    let me = stage.worker().await;
    let new = NewJob {
        args: json!({ "sleep_ms": 1 }),
        ..noop(org)
    };
    let job = stage.add(new).await.id;
    let line = LogLine {
        level: "info".into(),
        attempt: 1,
        message: "hello".into(),
        fields: json!({}),
    };
    stage.jobs().append_logs(job, vec![line]).await.unwrap();
    let lease = stage.start(me, job).await;
    stage.settle(lease, end).await.unwrap();
    job
}

async fn has_payload(stage: &Stage, job: JobId) -> bool {
    let row = stage.row(job).await;
    let logs = job_log::Entity::find().all(stage.store.db()).await.unwrap();
    let has_log = logs.iter().any(|line| line.job_id == job);
    let has_args = row.args != json!({});
    assert_eq!(has_log, has_args, "both or none");
    if !has_args {
        assert_eq!((row.result, row.progress, row.cursor), (None, None, None));
    }
    has_args
}

async fn old_jobs_lose_what_they_carried_and_stay(stage: Stage) {
    let org = stage.org().await;
    let done = ended(&stage, org, succeed()).await;
    let dead = ended(&stage, org, fail()).await;
    stage.advance(DAY).await;
    let young = ended(&stage, org, succeed()).await;
    assert_eq!(stage.store.empty_payloads(DAY / 2, 100).await.unwrap(), 1);
    assert_eq!(stage.row(done).await.state, JobState::Succeeded);
    assert!(!has_payload(&stage, done).await);
    assert!(has_payload(&stage, dead).await, "a person may retry it");
    assert!(has_payload(&stage, young).await);
}

async fn payloads_are_emptied_a_batch_at_a_time_and_once(stage: Stage) {
    let org = stage.org().await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(ended(&stage, org, succeed()).await);
        stage.seconds(1).await;
    }
    stage.advance(DAY).await;
    let mut emptied = Vec::new();
    for _ in 0..4 {
        emptied.push(stage.store.empty_payloads(DAY / 2, 2).await.unwrap());
    }
    assert_eq!(emptied, [2, 2, 1, 0]);
    for job in jobs {
        assert!(!has_payload(&stage, job).await);
    }
}

async fn operators_read_what_the_duties_of_living_processes_did(stage: Stage) {
    let scheduler = |number: u64, error: Option<&str>| DutyStatus {
        duty: "schedules".into(),
        // To the microsecond, as PostgreSQL keeps it.
        last_run_at: crate::stage::START,
        last_success_at: error.is_none().then_some(crate::stage::START),
        took: Duration::from_millis(number),
        late: Duration::from_millis(2),
        behind: error.is_none().then_some(Duration::from_secs(90)),
        runs: number,
        done: number * 2,
        errors: 3,
        last_error: error.map(str::to_owned),
    };
    let mut ids = Vec::new();
    for _ in 0..3 {
        let me = patchbay_core::ids::ProcessId::new(stage.store.clock());
        stage
            .jobs()
            .register(me, "scheduler", "host")
            .await
            .unwrap();
        ids.push(me);
    }
    stage.worker().await;
    let report = async |me, status| stage.store.report_duties(me, vec![status]).await.unwrap();
    report(ids[0], scheduler(1, None)).await;
    report(ids[0], scheduler(5, Some("away"))).await;
    report(ids[1], scheduler(7, None)).await;
    stage.jobs().leave(ids[1]).await.unwrap();
    let found = stage.store.scheduler_statuses().await.unwrap();
    let processes: Vec<_> = found
        .iter()
        .map(|one| (one.process.id, one.alive))
        .collect();
    assert_eq!(
        processes,
        [(ids[0], true), (ids[2], true)],
        "neither workers nor those that left"
    );
    let duties: Vec<_> = found[0]
        .duties
        .iter()
        .map(|(duty, _)| duty.clone())
        .collect();
    assert_eq!(duties, [scheduler(5, Some("away"))], "the last report");
    assert!(found[1].duties.is_empty());
    stage.seconds(7).await;
    assert!(!stage.store.scheduler_statuses().await.unwrap()[0].alive);
}
