//! What a person does with a schedule.

use patchbay_core::{
    entities::{event, schedule},
    events::EventKind,
    schedule::{SchedulePull, TickOutcome},
    store::schedules::{ScheduleChange, ScheduleFilter},
};
use sea_orm::{EntityTrait, QueryOrder};

use super::{cron, every, of};
use crate::{on_both, stage::Stage};

on_both! {
    a_paused_schedule_rests_and_makes_up_for_nothing,
    every_change_stands_in_the_activity_log,
    schedules_are_read_by_org_and_in_pages,
    the_next_times_are_those_that_come,
}

/// Takes the row, does something with it, commits.
macro_rules! with_row {
    ($stage:expr, $row:expr, |$tx:ident, $held:ident, $now:ident| $work:expr) => {{
        let $now = $stage.jobs().now().await.unwrap();
        let $tx = $stage.store.begin().await.unwrap();
        let $held = $stage
            .store
            .lock_schedule(&$tx, $row.org_id, $row.id)
            .await
            .unwrap()
            .unwrap();
        let done = $work.await.unwrap();
        $tx.commit().await.unwrap();
        done
    }};
}

async fn scheduled(stage: &Stage) -> schedule::Model {
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    stage.schedule(of(org, connection, every("1m"))).await
}

async fn a_paused_schedule_rests_and_makes_up_for_nothing(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let row = scheduled(&stage).await;
    let store = &stage.store;
    let paused = with_row!(stage, row, |tx, held, now| store
        .pause_schedule(&tx, held, "test", now));
    assert!(paused.upcoming(5).is_empty());
    stage.seconds(3_600).await;
    assert_eq!(stage.tick().await, 0);
    assert_eq!(
        store.schedule_lag().await.unwrap(),
        std::time::Duration::ZERO
    );
    let resumed = with_row!(stage, row, |tx, held, now| store
        .resume_schedule(&tx, held, "test", now));
    assert_eq!(stage.tick().await, 0);
    assert!(resumed.next_at.unwrap() > stage.jobs().now().await.unwrap());
    stage.until_due(row.id).await;
    stage.tick().await;
    assert_eq!(stage.outcomes(row.id).await, [TickOutcome::Made]);
}

async fn every_change_stands_in_the_activity_log(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let row = scheduled(&stage).await;
    let store = &stage.store;
    let change = ScheduleChange {
        pull: Some(SchedulePull::Full),
        timing: Some(cron("0 3 * * *", "America/New_York")),
        misfire: None,
    };
    let changed = with_row!(stage, row, |tx, held, now| store
        .change_schedule(&tx, held, change, "test", now));
    assert_eq!(
        (
            changed.pull,
            changed.every_s,
            changed.cron.as_deref(),
            changed.time_zone.as_deref()
        ),
        (
            SchedulePull::Full,
            None,
            Some("0 3 * * *"),
            Some("America/New_York")
        )
    );
    assert_eq!(stage.schedule_row(row.id).await, changed);
    with_row!(stage, row, |tx, held, now| store
        .pause_schedule(&tx, held, "test", now));
    with_row!(stage, row, |tx, held, now| store
        .resume_schedule(&tx, held, "test", now));
    let tx = store.begin().await.unwrap();
    store.delete_schedule(&tx, &row, "test").await.unwrap();
    tx.commit().await.unwrap();
    let events = event::Entity::find().order_by_asc(event::Column::Id);
    let events = events.all(store.db()).await.unwrap();
    let mut kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    assert_eq!(
        kinds,
        [
            EventKind::ScheduleCreated,
            EventKind::ScheduleDeleted,
            EventKind::SchedulePaused,
            EventKind::ScheduleResumed,
            EventKind::ScheduleUpdated,
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| event.connection_id == Some(row.connection_id)
                && event.data["schedule"] == row.id.to_string())
    );
}

async fn schedules_are_read_by_org_and_in_pages(stage: Stage) {
    let (org, other) = (stage.org().await, stage.org().await);
    let connections = [stage.connection(org).await, stage.connection(org).await];
    let mut rows = Vec::new();
    for connection in [connections[0], connections[1], connections[0]] {
        rows.push(stage.schedule(of(org, connection, every("1h"))).await.id);
    }
    rows.sort();
    let theirs = stage.connection(other).await;
    let theirs = stage.schedule(of(other, theirs, every("1h"))).await;
    let store = &stage.store;
    let page = async |filter: ScheduleFilter, limit| -> Vec<_> {
        let found = store.schedules(org, &filter, limit).await.unwrap();
        found.into_iter().map(|row| row.id).collect()
    };
    assert_eq!(page(ScheduleFilter::default(), 2).await, rows[..2]);
    let rest = ScheduleFilter {
        after: Some(rows[1]),
        ..Default::default()
    };
    assert_eq!(page(rest, 2).await, rows[2..]);
    let of_one = ScheduleFilter {
        connection: Some(connections[0]),
        ..Default::default()
    };
    assert_eq!(page(of_one, 9).await.len(), 2);
    assert!(
        store
            .schedule(store.db(), org, theirs.id)
            .await
            .unwrap()
            .is_none()
    );
}

async fn the_next_times_are_those_that_come(stage: Stage) {
    let stage = stage.stop_the_clock().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let schedule = stage
        .schedule(of(org, connection, cron("*/10 9 * * *", "Asia/Tokyo")))
        .await;
    let shown = schedule.upcoming(5);
    assert_eq!(shown.len(), 5);
    for expected in shown {
        assert_eq!(
            stage.schedule_row(schedule.id).await.next_at,
            Some(expected)
        );
        stage.until_due(schedule.id).await;
        assert_eq!(stage.tick().await, 1);
    }
}
