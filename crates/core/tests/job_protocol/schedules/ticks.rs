//! Each tick makes its job once.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use patchbay_core::{
    job::{JobKind, JobState, Queue},
    schedule::{Misfire, SchedulePull, TickOutcome},
    store::schedules::NewSchedule,
    sync_args::{PullMode, SyncArgs},
};

use super::{cron, every, of};
use crate::{
    on_both,
    stage::{Stage, succeed},
};

on_both! {
    a_due_schedule_makes_its_job_and_is_due_again,
    a_schedule_is_not_due_before_its_jitter_has_passed,
    schedulers_at_once_make_one_job_a_tick,
    the_database_refuses_a_tick_a_second_time,
    a_batch_takes_the_longest_due_first_and_no_more_than_asked,
    a_span_ends_at_its_tick,
    a_tick_meets_the_work_that_waits_or_runs,
    a_night_of_changed_clocks_has_one_run,
    lag_is_how_long_the_oldest_due_tick_has_waited,
}

async fn a_due_schedule_makes_its_job_and_is_due_again(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let schedule = stage.schedule(of(org, connection, every("15m"))).await;
    assert_eq!(stage.tick().await, 0, "not due yet");
    stage.until_due(schedule.id).await;
    let ticked = stage.store.tick_schedules(100).await.unwrap();
    let [job] = stage.all_jobs().await.try_into().unwrap();
    assert_eq!(ticked.schedules, 1);
    assert_eq!(ticked.jobs.len(), 1);
    assert_eq!(
        (
            ticked.jobs[0].0,
            ticked.jobs[0].1.job,
            ticked.jobs[0].1.turn
        ),
        (Queue::Sync, job.id, org)
    );
    assert_eq!(
        (job.kind, job.queue, job.state, job.requested_by.as_str()),
        (JobKind::Sync, Queue::Sync, JobState::Queued, "schedule")
    );
    assert_eq!(job.lane, Some(format!("{connection}:catalog")));
    let args: SyncArgs = serde_json::from_value(job.args).unwrap();
    assert_eq!(
        (args.stream.as_str(), args.pull),
        ("catalog", PullMode::Incremental)
    );

    let row = stage.schedule_row(schedule.id).await;
    let tick = schedule.tick.unwrap();
    assert_eq!(
        (row.last_tick, row.last_outcome, row.last_job_id),
        (Some(tick), Some(TickOutcome::Made), Some(job.id))
    );
    assert_eq!(row.tick, Some(tick + TimeDelta::minutes(15)));
    assert_eq!(
        row.next_at.unwrap() - row.tick.unwrap(),
        schedule.next_at.unwrap() - tick
    );
    assert_eq!(stage.ticks(schedule.id).await, [(tick, TickOutcome::Made)]);
    assert_eq!(stage.tick().await, 0, "once");
}

async fn a_schedule_is_not_due_before_its_jitter_has_passed(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let schedule = stage.schedule(of(org, connection, every("1h"))).await;
    let jitter = schedule.next_at.unwrap() - schedule.tick.unwrap();
    assert!(jitter >= TimeDelta::zero() && jitter < TimeDelta::hours(1));
    stage.until_due(schedule.id).await;
    stage.tick().await;
    let row = stage.schedule_row(schedule.id).await;
    assert_eq!(
        row.next_at.unwrap() - schedule.next_at.unwrap(),
        TimeDelta::hours(1)
    );
    stage.advance(Duration::from_millis(3_599_999)).await;
    assert_eq!(stage.tick().await, 0);
    stage.advance(Duration::from_millis(1)).await;
    assert_eq!(stage.tick().await, 1);
}

async fn schedulers_at_once_make_one_job_a_tick(stage: Stage) {
    const SCHEDULES: usize = 40;
    const ROUNDS: usize = 5;
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    for _ in 0..SCHEDULES {
        let connection = stage.connection(org).await;
        let new = NewSchedule {
            misfire: Misfire::All,
            ..of(org, connection, every("1m"))
        };
        stage.schedule(new).await;
    }
    let mut dealt_with = 0;
    for _ in 0..ROUNDS {
        stage.seconds(60).await;
        let look = || async {
            let mut found = 0;
            loop {
                let ticked = stage.store.tick_schedules(7).await.unwrap().schedules;
                found += ticked;
                if ticked == 0 {
                    return found;
                }
            }
        };
        let (one, two, three) = tokio::join!(look(), look(), look());
        dealt_with += one + two + three;
        // A row that was held elsewhere at the last look is nobody's yet.
        dealt_with += look().await;
    }
    assert_eq!(dealt_with, (SCHEDULES * ROUNDS) as u64);
    let jobs = stage.all_jobs().await;
    let distinct: BTreeSet<_> = jobs.iter().map(|job| job.dedupe_key.clone()).collect();
    assert_eq!(
        (jobs.len(), distinct.len()),
        (SCHEDULES * ROUNDS, SCHEDULES * ROUNDS)
    );
}

async fn the_database_refuses_a_tick_a_second_time(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let schedule = stage.schedule(of(org, connection, every("1m"))).await;
    stage.until_due(schedule.id).await;
    assert_eq!(stage.tick().await, 1);
    // What a scheduler would leave that forgot to move on.
    let stale = "update schedules set tick = last_tick, next_at = last_tick, last_tick = null";
    stage.sql(stale).await.unwrap();
    stage.store.tick_schedules(100).await.unwrap_err();
    assert_eq!(stage.all_jobs().await.len(), 1);
}

async fn a_batch_takes_the_longest_due_first_and_no_more_than_asked(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let mut due = Vec::new();
    for _ in 0..5 {
        let connection = stage.connection(org).await;
        let row = stage.schedule(of(org, connection, every("1h"))).await;
        due.push((row.next_at.unwrap(), row.id));
    }
    due.sort();
    stage.seconds(7_200).await;
    assert_eq!(stage.store.tick_schedules(3).await.unwrap().schedules, 3);
    for (place, (_, id)) in due.iter().enumerate() {
        assert_eq!(stage.ticks(*id).await.is_empty(), place >= 3);
    }
    assert_eq!(stage.store.tick_schedules(3).await.unwrap().schedules, 2);
}

async fn a_span_ends_at_its_tick(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let new = NewSchedule {
        pull: SchedulePull::Last24h,
        ..of(org, connection, every("6h"))
    };
    let schedule = stage.schedule(new).await;
    stage.until_due(schedule.id).await;
    stage.seconds(20).await;
    stage.tick().await;
    let [job] = stage.all_jobs().await.try_into().unwrap();
    let args: SyncArgs = serde_json::from_value(job.args).unwrap();
    let tick = schedule.tick.unwrap();
    assert_eq!(
        args.pull,
        PullMode::Range {
            from: (tick - TimeDelta::hours(24)).into(),
            to: tick.into()
        }
    );
}

async fn a_tick_meets_the_work_that_waits_or_runs(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let schedule = stage.schedule(of(org, connection, every("1m"))).await;
    for _ in 0..2 {
        stage.until_due(schedule.id).await;
        stage.tick().await;
    }
    let [job] = stage.all_jobs().await.try_into().unwrap();
    let me = stage.worker().await;
    let lease = stage.start(me, job.id).await;
    stage.until_due(schedule.id).await;
    stage.tick().await;
    assert_eq!(
        stage.outcomes(schedule.id).await,
        [TickOutcome::Made, TickOutcome::Merged, TickOutcome::Again]
    );
    let settled = stage.settle(lease, succeed()).await.unwrap();
    assert!(settled.successor.is_some(), "it runs once more");
    assert_eq!(stage.all_jobs().await.len(), 2);
}

async fn a_night_of_changed_clocks_has_one_run(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let schedule = stage
        .schedule(of(org, connection, cron("30 2 * * *", "Europe/Berlin")))
        .await;
    // From 2026-01-01: ten days around the night of 29 March, whose 02:30 does not exist.
    stage.seconds(83 * 86_400).await;
    stage.tick().await;
    for _ in 0..10 {
        stage.until_due(schedule.id).await;
        stage.tick().await;
    }
    let ticks = stage.ticks(schedule.id).await;
    let shown: Vec<String> = ticks
        .iter()
        .map(|(tick, _)| tick.format("%d %H:%M").to_string())
        .collect();
    let last: Vec<&str> = shown.iter().map(String::as_str).rev().take(8).collect();
    assert_eq!(
        last,
        [
            "03 00:30", "02 00:30", "01 00:30", "31 00:30", "30 00:30", "29 01:00", "28 01:30",
            "27 01:30"
        ]
    );
}

async fn lag_is_how_long_the_oldest_due_tick_has_waited(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let schedule = stage.schedule(of(org, connection, every("1h"))).await;
    assert_eq!(stage.store.schedule_lag().await.unwrap(), Duration::ZERO);
    stage.until_due(schedule.id).await;
    stage.seconds(90).await;
    assert_eq!(
        stage.store.schedule_lag().await.unwrap(),
        Duration::from_secs(90)
    );
    let late = async |seconds| {
        stage
            .store
            .late_schedules(Duration::from_secs(seconds), 10)
            .await
            .unwrap()
    };
    assert_eq!(late(90).await, []);
    let found = late(89).await;
    assert_eq!(
        (
            found.len(),
            found[0].id,
            found[0].org_id,
            found[0].connection_id
        ),
        (1, schedule.id, org, connection)
    );
    stage.tick().await;
    assert_eq!(stage.store.schedule_lag().await.unwrap(), Duration::ZERO);
}
