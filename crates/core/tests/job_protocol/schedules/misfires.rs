//! A clock that moved on while no scheduler looked.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{
    connection::ConnectionStatus,
    ids::ScheduleId,
    schedule::{ALL_AT_MOST, Misfire, TickOutcome},
    store::schedules::NewSchedule,
};

use super::{every, of};
use crate::{on_both, stage::Stage};

on_both! {
    skip_passes_over_what_was_missed,
    last_runs_the_newest_of_what_was_missed,
    all_runs_each_with_a_job_of_its_own,
    all_makes_up_for_no_more_than_a_hundred,
    under_a_broken_connection_all_waits_in_one_job,
    a_changed_timing_repeats_no_tick,
}

/// A schedule of every ten minutes that was due first at `tick`, and is late by so many
/// whole periods and two minutes.
async fn missed(stage: &Stage, misfire: Misfire, periods: u64) -> (ScheduleId, DateTime<Utc>) {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let new = NewSchedule {
        misfire,
        ..of(org, connection, every("10m"))
    };
    let schedule = stage.schedule(new).await;
    stage.until_due(schedule.id).await;
    stage.seconds(periods * 600 + 120).await;
    assert_eq!(stage.tick().await, 1);
    (schedule.id, schedule.tick.unwrap())
}

fn tens(count: i32) -> TimeDelta {
    TimeDelta::minutes(10) * count
}

async fn skip_passes_over_what_was_missed(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let (schedule, tick) = missed(&stage, Misfire::Skip, 3).await;
    assert_eq!(
        stage.ticks(schedule).await,
        [(tick, TickOutcome::Skipped)],
        "one line for the stretch"
    );
    assert!(stage.all_jobs().await.is_empty());
    let row = stage.schedule_row(schedule).await;
    assert_eq!(row.tick, Some(tick + tens(4)));
    stage.until_due(schedule).await;
    stage.tick().await;
    assert_eq!(stage.all_jobs().await.len(), 1, "in time it runs");
}

async fn last_runs_the_newest_of_what_was_missed(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let (schedule, tick) = missed(&stage, Misfire::Last, 3).await;
    assert_eq!(
        stage.ticks(schedule).await,
        [
            (tick, TickOutcome::Skipped),
            (tick + tens(3), TickOutcome::Made)
        ]
    );
    let row = stage.schedule_row(schedule).await;
    assert_eq!(
        (row.last_tick, row.last_outcome),
        (Some(tick + tens(3)), Some(TickOutcome::Made))
    );
    assert_eq!(stage.all_jobs().await.len(), 1);
}

async fn all_runs_each_with_a_job_of_its_own(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let (schedule, tick) = missed(&stage, Misfire::All, 3).await;
    let expected: Vec<_> = (0..4)
        .map(|count| (tick + tens(count), TickOutcome::Made))
        .collect();
    assert_eq!(stage.ticks(schedule).await, expected);
    assert_eq!(stage.all_jobs().await.len(), 4);
}

async fn all_makes_up_for_no_more_than_a_hundred(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let (schedule, tick) = missed(&stage, Misfire::All, 1_000).await;
    let ticks = stage.ticks(schedule).await;
    assert_eq!(ticks[0], (tick, TickOutcome::Skipped));
    assert_eq!(ticks.len(), ALL_AT_MOST + 1);
    assert_eq!(ticks.last(), Some(&(tick + tens(1_000), TickOutcome::Made)));
    assert_eq!(stage.all_jobs().await.len(), ALL_AT_MOST);
}

async fn under_a_broken_connection_all_waits_in_one_job(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    stage.status(connection, ConnectionStatus::Expired).await;
    let new = NewSchedule {
        misfire: Misfire::All,
        ..of(org, connection, every("1m"))
    };
    let schedule = stage.schedule(new).await;
    for _ in 0..5 {
        stage.until_due(schedule.id).await;
        stage.tick().await;
    }
    assert_eq!(stage.all_jobs().await.len(), 1, "no pile");
    assert_eq!(
        stage.outcomes(schedule.id).await[1..],
        [TickOutcome::Merged; 4]
    );
}

async fn a_changed_timing_repeats_no_tick(stage: Stage) {
    use patchbay_core::store::schedules::ScheduleChange;
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    // A jitter of more than a minute, so that the hour's tick is due again after the change.
    let (connection, schedule) = loop {
        let connection = stage.connection(org).await;
        let row = stage
            .schedule(of(org, connection, super::cron("0 * * * *", "UTC")))
            .await;
        let hourly = every("1h");
        if row.jitter(&hourly) > TimeDelta::seconds(120) {
            break (connection, row);
        }
    };
    stage.until_due(schedule.id).await;
    stage.tick().await;
    let before = stage.ticks(schedule.id).await;
    let now = stage.jobs().now().await.unwrap();
    let tx = stage.store.begin().await.unwrap();
    let row = stage.store.lock_schedule(&tx, org, schedule.id).await;
    let change = ScheduleChange {
        timing: Some(every("1h")),
        ..ScheduleChange::default()
    };
    let changed = stage
        .store
        .change_schedule(&tx, row.unwrap().unwrap(), change, "test", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(before.len(), 1);
    assert_eq!(
        changed.tick,
        Some(before[0].0 + TimeDelta::hours(1)),
        "of {connection}"
    );
    stage.until_due(schedule.id).await;
    assert!(stage.tick().await >= 1);
    assert_eq!(stage.ticks(schedule.id).await.len(), 2);
}
