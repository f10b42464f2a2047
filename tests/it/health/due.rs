//! Which connections are checked when.

use std::time::Duration;

use patchbay_core::connection::ConnectionStatus;
use sea_orm::{ActiveValue::Set, EntityTrait};

use super::{clinic::Clinic, on_both_databases};

on_both_databases!(
    connections_are_checked_once_in_their_interval,
    a_longer_interval_is_kept,
    what_is_switched_off_or_disconnected_is_not_checked,
    a_tick_that_was_missed_is_made_up_once_and_keeps_its_place,
    many_due_checks_make_batches_of_a_hundred,
    checks_that_no_worker_makes_lag_although_schedulers_go_on,
);

async fn connections_are_checked_once_in_their_interval(clinic: Clinic) {
    let patients = clinic.patients(3).await;
    assert_eq!(clinic.tick().await, [], "they have just been tested");
    clinic.advance(5).await;
    let jobs = clinic.tick().await;
    assert_eq!(jobs.len(), 1, "one batch for all of one provider");
    let result = clinic.work(jobs[0]).await.unwrap();
    assert_eq!(result["passed"], 3);
    assert_eq!(clinic.tick().await, [], "the next time is set with the job");
    for patient in &patients {
        assert_eq!(clinic.counted(*patient).await, (1, 0));
        let row = clinic.row(*patient).await;
        assert!(row.last_checked_at.unwrap() > row.updated_at);
        assert_eq!(row.last_success_at, row.last_checked_at);
    }
    clinic.round().await;
    assert_eq!(clinic.counted(patients[0]).await, (2, 0));
}

async fn a_longer_interval_is_kept(clinic: Clinic) {
    let patient = clinic.patient().await;
    let store = &clinic.ctx.store;
    let tx = store.begin().await.unwrap();
    let row = store.lock_connection(&tx, patient.org, patient.id).await;
    let change = patchbay_core::entities::connection::ActiveModel {
        health_interval_minutes: Set(60),
        ..Default::default()
    };
    let row = row.unwrap().unwrap();
    store.update_connection(&tx, &row, change).await.unwrap();
    tx.commit().await.unwrap();
    let mut ticks = 0;
    for _ in 0..8 {
        clinic.advance(30).await;
        ticks += clinic.tick().await.len();
    }
    assert_eq!(ticks, 4);
}

async fn what_is_switched_off_or_disconnected_is_not_checked(clinic: Clinic) {
    let off = clinic.patient().await;
    let gone = clinic.patient().await;
    let late = clinic.patient().await;
    clinic.set_enabled(off, false).await;
    let store = &clinic.ctx.store;
    let tx = store.begin().await.unwrap();
    let row = store.lock_connection(&tx, gone.org, gone.id).await;
    let row = row.unwrap().unwrap();
    store.disconnect(&tx, &row, "test").await.unwrap();
    tx.commit().await.unwrap();
    clinic.advance(5).await;
    let jobs = clinic.tick().await;
    // Switched off between the tick and the batch.
    clinic.set_enabled(late, false).await;
    let result = clinic.work(jobs[0]).await.unwrap();
    assert_eq!(
        (&result["passed"], &result["skipped"]),
        (&0.into(), &1.into())
    );
    for patient in [off, gone, late] {
        assert_eq!(clinic.counted(patient).await, (0, 0));
    }
    clinic.set_enabled(off, true).await;
    clinic.round().await;
    assert_eq!(clinic.counted(off).await, (1, 0));
    assert_eq!(clinic.row(off).await.status, ConnectionStatus::Active);
}

async fn a_tick_that_was_missed_is_made_up_once_and_keeps_its_place(clinic: Clinic) {
    let patient = clinic.patient().await;
    let due = |clinic: &Clinic| {
        let db = clinic.ctx.store.db().clone();
        async move {
            let row = patchbay_core::entities::connection_health::Entity::find_by_id(patient.id)
                .one(&db)
                .await;
            row.unwrap().unwrap().next_check_at.unwrap()
        }
    };
    let before = due(&clinic).await;
    clinic.advance(33).await;
    assert_eq!(clinic.tick().await.len(), 1);
    assert_eq!(clinic.tick().await, []);
    let moved = due(&clinic).await - before;
    assert_eq!(moved.num_milliseconds() % 300_000, 0, "{moved}");
    assert!((6..=8).contains(&(moved.num_minutes() / 5)), "{moved}");
}

async fn many_due_checks_make_batches_of_a_hundred(clinic: Clinic) {
    clinic.patients(120).await;
    clinic.advance(5).await;
    let jobs = clinic.tick().await;
    assert_eq!(jobs.len(), 2);
    let mut passed = 0;
    for job in jobs {
        passed += clinic.work(job).await.unwrap()["passed"].as_u64().unwrap();
    }
    assert_eq!(passed, 120);
}

async fn checks_that_no_worker_makes_lag_although_schedulers_go_on(clinic: Clinic) {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let lag = async || clinic.ctx.store.check_lag().await.unwrap();
    clinic.patients(2).await;
    assert_eq!(lag().await, Duration::ZERO);
    clinic.advance(5).await;
    let mut jobs = clinic.tick().await;
    for _ in 0..2 {
        clinic.advance(5).await;
        jobs.extend(clinic.tick().await);
    }
    let behind = lag().await;
    assert!(
        (minutes(10)..minutes(11)).contains(&behind),
        "the first batch waits for a worker: {behind:?}"
    );
    for job in jobs {
        clinic.work(job).await.unwrap();
    }
    assert_eq!(lag().await, Duration::ZERO);
}
