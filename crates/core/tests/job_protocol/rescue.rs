//! Step 8: what dead processes held is taken back.

use patchbay_core::{
    events::EventKind,
    ids::{ConnectionId, JobId, OrgId, ProcessId},
    job::{CRASHES_TO_QUARANTINE, JobKind, JobState, Lease, NewJob, Queue},
    progress::Progress,
    store::{events::EventFilter, jobs::Rescued},
};

use crate::{
    on_both,
    stage::{Stage, lease, noop, of_connection},
};

on_both! {
    jobs_of_a_dead_process_are_queued_again_and_charged,
    a_live_process_keeps_its_jobs,
    a_second_rescue_finds_nothing,
    whoever_ran_beside_a_suspect_is_charged_with_it,
    three_deaths_quarantine_a_job,
    a_quarantine_stands_in_the_activity_log,
    a_quarantine_is_counted_on_its_connection,
    a_quarantine_that_a_person_has_dealt_with_is_not_counted,
    committed_progress_clears_the_charge,
    a_rescued_jobs_attempts_are_not_burnt,
    the_rescuer_is_never_its_own_victim,
    a_body_far_past_its_deadline_is_taken_from_a_live_process,
    a_body_a_little_past_its_deadline_is_left_to_its_worker,
}

/// A process that runs these jobs.
async fn process_with(stage: &Stage, jobs: &[JobId]) -> ProcessId {
    let me = stage.worker().await;
    assert_eq!(stage.claim(me, jobs).await.len(), jobs.len());
    me
}

/// A process that runs this job and may run nothing else.
async fn process_alone_with(stage: &Stage, job: JobId) {
    let me = stage.worker().await;
    stage.start_alone(me, job).await;
}

async fn jobs(stage: &Stage, count: usize) -> Vec<JobId> {
    let org = stage.org().await;
    stage
        .enqueue(vec![noop(org); count])
        .await
        .iter()
        .map(|job| job.job().id)
        .collect()
}

async fn crashes(stage: &Stage, jobs: &[JobId]) -> Vec<i32> {
    let mut crashes = Vec::new();
    for id in jobs {
        crashes.push(stage.row(*id).await.crashes);
    }
    crashes
}

async fn jobs_of_a_dead_process_are_queued_again_and_charged(stage: Stage) {
    let jobs = jobs(&stage, 2).await;
    process_with(&stage, &jobs).await;
    let mut rescued = stage.everyone_dies().await;
    rescued.requeued.sort_unstable();
    assert_eq!(
        (rescued.requeued, rescued.quarantined),
        (jobs.clone(), vec![])
    );
    assert_eq!(crashes(&stage, &jobs).await, [1, 1]);
    let row = stage.row(jobs[0]).await;
    assert_eq!(
        (row.state, row.leased_by, row.deadline),
        (JobState::Queued, None, None)
    );
}

async fn a_live_process_keeps_its_jobs(stage: Stage) {
    let jobs = jobs(&stage, 1).await;
    process_with(&stage, &jobs).await;
    let scheduler = stage.worker().await;
    stage.seconds(5).await;
    assert_eq!(
        stage.jobs().rescue(scheduler).await.unwrap(),
        Default::default()
    );
    assert_eq!(stage.state(jobs[0]).await, JobState::Running);
}

async fn a_second_rescue_finds_nothing(stage: Stage) {
    let jobs = jobs(&stage, 1).await;
    process_with(&stage, &jobs).await;
    stage.everyone_dies().await;
    assert_eq!(stage.everyone_dies().await, Default::default());
    assert_eq!(crashes(&stage, &jobs).await, [1]);
}

async fn whoever_ran_beside_a_suspect_is_charged_with_it(stage: Stage) {
    let suspect = jobs(&stage, 1).await;
    process_with(&stage, &suspect).await;
    stage.everyone_dies().await;
    let innocent = jobs(&stage, 2).await;
    let all = [suspect[0], innocent[0], innocent[1]];
    process_with(&stage, &all).await;
    let rescued = stage.everyone_dies().await;
    assert_eq!(rescued.requeued.len(), 3);
    assert_eq!(crashes(&stage, &all).await, [2, 1, 1]);
}

async fn three_deaths_quarantine_a_job(stage: Stage) {
    let jobs = jobs(&stage, 1).await;
    for _ in 1..CRASHES_TO_QUARANTINE {
        process_with(&stage, &jobs).await;
        assert_eq!(stage.everyone_dies().await.requeued, jobs);
    }
    process_alone_with(&stage, jobs[0]).await;
    assert_eq!(stage.everyone_dies().await.quarantined, jobs);
    let row = stage.row(jobs[0]).await;
    assert_eq!((row.state, row.crashes), (JobState::Quarantined, 3));
    assert_eq!(row.error.unwrap()["kind"], "crash");
    assert!(row.finished_at.is_some());
}

async fn a_quarantine_stands_in_the_activity_log(stage: Stage) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let job = stage.add(of_connection(org, connection)).await.id;
    let of_deployment = NewJob::new(None, JobKind::HealthCheck, Queue::Sync, "schedule");
    let of_deployment = stage.add(of_deployment).await.id;
    let log = async || {
        let all = EventFilter::default();
        stage.store.events(org, &all, 10).await.unwrap()
    };
    let mut rescued = Rescued::default();
    for death in 1..=CRASHES_TO_QUARANTINE {
        assert!(log().await.is_empty());
        for id in [job, of_deployment] {
            if death < CRASHES_TO_QUARANTINE {
                process_with(&stage, &[id]).await;
            } else {
                process_alone_with(&stage, id).await;
            }
        }
        rescued = stage.everyone_dies().await;
    }
    assert_eq!(rescued.quarantined.len(), 2);
    stage.everyone_dies().await;
    let events = log().await;
    assert_eq!(events.len(), 1, "once, and none without an org: {events:?}");
    let event = &events[0];
    assert_eq!(
        (
            event.kind,
            event.job_id,
            event.connection_id,
            event.actor.as_str()
        ),
        (
            EventKind::JobQuarantined,
            Some(job),
            Some(connection),
            "system"
        )
    );
    assert_eq!(event.at, stage.row(job).await.finished_at.unwrap());
}

async fn committed_progress_clears_the_charge(stage: Stage) {
    let jobs = jobs(&stage, 1).await;
    for _ in 0..5 {
        let me = stage.worker().await;
        let lease: Lease = lease(&stage.claim(me, &jobs).await[0]);
        let tx = stage.store.begin().await.unwrap();
        stage
            .jobs()
            .checkpoint(&tx, lease, &Progress::default(), None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(stage.everyone_dies().await.requeued, jobs);
    }
    assert_eq!(crashes(&stage, &jobs).await, [1]);
}

async fn a_rescued_jobs_attempts_are_not_burnt(stage: Stage) {
    let jobs = jobs(&stage, 1).await;
    process_with(&stage, &jobs).await;
    stage.everyone_dies().await;
    assert_eq!(stage.row(jobs[0]).await.attempt, 0);
}

async fn the_rescuer_is_never_its_own_victim(stage: Stage) {
    let jobs = jobs(&stage, 1).await;
    let me = process_with(&stage, &jobs).await;
    stage.seconds(60).await;
    assert_eq!(stage.jobs().rescue(me).await.unwrap(), Default::default());
}

/// A process that lives on, and its job with a deadline of ten seconds.
async fn past_deadline(stage: &Stage, seconds: u64) -> (ProcessId, Lease) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage
        .add(NewJob {
            timeout: std::time::Duration::from_secs(10),
            ..noop(org)
        })
        .await;
    let lease = stage.start(me, job.id).await;
    for _ in 0..seconds / 5 {
        stage.seconds(5).await;
        assert!(stage.jobs().renew(me, &[lease]).await.unwrap().alive);
    }
    (me, lease)
}

async fn a_body_far_past_its_deadline_is_taken_from_a_live_process(stage: Stage) {
    let (me, lease) = past_deadline(&stage, 75).await;
    assert_eq!(stage.jobs().rescue(me).await.unwrap().requeued, [lease.job]);
    assert_eq!(stage.row(lease.job).await.crashes, 1);
    assert_eq!(
        stage.jobs().renew(me, &[lease]).await.unwrap().lost,
        [lease]
    );
}

async fn a_body_a_little_past_its_deadline_is_left_to_its_worker(stage: Stage) {
    let (me, lease) = past_deadline(&stage, 60).await;
    assert_eq!(stage.jobs().rescue(me).await.unwrap(), Default::default());
    assert_eq!(stage.state(lease.job).await, JobState::Running);
}

/// A job of this kind at this connection, whose processes died three times.
async fn quarantined(stage: &Stage, kind: JobKind, connection: ConnectionId, org: OrgId) -> JobId {
    let job = NewJob {
        kind,
        ..of_connection(org, connection)
    };
    let job = stage.add(job).await.id;
    for _ in 1..CRASHES_TO_QUARANTINE {
        process_with(stage, &[job]).await;
        stage.everyone_dies().await;
    }
    process_alone_with(stage, job).await;
    assert_eq!(stage.everyone_dies().await.quarantined, [job]);
    job
}

async fn counted(stage: &Stage, org: OrgId, id: ConnectionId) -> (i32, Option<String>) {
    let row = stage.store.connection(stage.store.db(), org, id).await;
    let row = row.unwrap().unwrap();
    let kind = |error: serde_json::Value| error["kind"].as_str().unwrap().to_owned();
    assert_eq!(row.last_error.is_some(), row.last_error_at.is_some());
    (row.error_count, row.last_error.map(kind))
}

async fn a_quarantine_is_counted_on_its_connection(stage: Stage) {
    let org = stage.org().await;
    for (kind, count) in [
        (JobKind::Sync, 1),
        (JobKind::Action, 1),
        // A candidate is no matter of what is in force.
        (JobKind::ConnectionTest, 0),
        (JobKind::CredentialRevoke, 0),
    ] {
        let connection = stage.connection(org).await;
        let job = quarantined(&stage, kind, connection, org).await;
        stage.store.note_quarantine(job).await.unwrap();
        let crash = (count == 1).then(|| "crash".to_owned());
        let said = counted(&stage, org, connection).await;
        assert_eq!(said, (count, crash), "{kind:?}");
    }
}

async fn a_quarantine_that_a_person_has_dealt_with_is_not_counted(stage: Stage) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let job = quarantined(&stage, JobKind::Sync, connection, org).await;
    stage.retry(org, job).await;
    stage.store.note_quarantine(job).await.unwrap();
    assert_eq!(counted(&stage, org, connection).await, (0, None));
}
