//! A batch is written once, whoever dies over it.

use patchbay_core::health::window::Window;
use patchbay_worker::jobs;

use super::{clinic::Clinic, on_both_databases};

on_both_databases!(
    a_batch_run_again_after_its_worker_died_counts_nothing_twice,
    a_worker_that_was_declared_dead_writes_nothing,
    a_batch_that_was_held_up_leaves_the_checks_to_the_later_one,
    done_batches_do_not_pile_up,
);

async fn a_batch_run_again_after_its_worker_died_counts_nothing_twice(clinic: Clinic) {
    let patients = clinic.patients(8).await;
    clinic.advance(5).await;
    let jobs = clinic.tick().await;
    let run = clinic.claim(jobs[0]).await;
    jobs::run(&run, &clinic.ctx).await.unwrap();
    // It dies after the last write and before its job is settled.
    clinic.end_process_of(&run).await;
    let asked = clinic.sandbox.requests.count("GET /square/v2/locations");
    let result = clinic.work(jobs[0]).await.unwrap();
    assert_eq!(result["skipped"], 8);
    assert_eq!(
        clinic.sandbox.requests.count("GET /square/v2/locations"),
        asked,
        "nobody is asked again"
    );
    for patient in patients {
        assert_eq!(clinic.counted(patient).await, (1, 0));
        assert_eq!(clinic.picture(patient, Window::Day).await.last.len(), 1);
    }
}

async fn a_worker_that_was_declared_dead_writes_nothing(clinic: Clinic) {
    let patients = clinic.patients(4).await;
    clinic.advance(5).await;
    let jobs = clinic.tick().await;
    let zombie = clinic.claim(jobs[0]).await;
    clinic.end_process_of(&zombie).await;
    let run = clinic.claim(jobs[0]).await;
    jobs::run(&zombie, &clinic.ctx)
        .await
        .expect_err("its lease is lost");
    for patient in &patients {
        assert_eq!(clinic.counted(*patient).await, (0, 0));
    }
    jobs::run(&run, &clinic.ctx).await.unwrap();
    for patient in &patients {
        assert_eq!(clinic.counted(*patient).await, (1, 0));
    }
}

async fn a_batch_that_was_held_up_leaves_the_checks_to_the_later_one(clinic: Clinic) {
    let patients = clinic.patients(3).await;
    clinic.advance(5).await;
    let early = clinic.tick().await;
    clinic.advance(5).await;
    let late = clinic.tick().await;
    assert_eq!(clinic.work(early[0]).await.unwrap()["skipped"], 3);
    assert_eq!(clinic.work(late[0]).await.unwrap()["passed"], 3);
    assert_eq!(clinic.counted(patients[0]).await, (1, 0));
}

async fn done_batches_do_not_pile_up(clinic: Clinic) {
    clinic.patients(2).await;
    clinic.round().await;
    let hour = std::time::Duration::from_secs(3600);
    let prune = || clinic.ctx.store.prune_health_batches(hour, 100);
    assert_eq!(prune().await.unwrap(), 0, "it may still be of interest");
    clinic.advance(61).await;
    assert_eq!(prune().await.unwrap(), 1);
}
