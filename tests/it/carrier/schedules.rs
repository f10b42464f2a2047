//! Schedulers as they run: ticks become hinted jobs, and operators see what was done.

use std::sync::Arc;

use chrono::TimeDelta;
use patchbay_core::{
    connection::{ConnectionStatus, Health},
    entities::{connection, schedule_tick},
    hints::MemoryHints,
    ids::{ConnectionId, OrgId},
    job::Queue,
    schedule::{Misfire, Period, SchedulePull, TickOutcome, Timing},
    store::schedules::NewSchedule,
};
use patchbay_scheduler::{Identity, SchedulerDeps};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::stage::{Stage, until};

/// Connections, each with a schedule of every minute that is overdue by one.
async fn overdue(stage: &Stage, org: OrgId, count: usize) {
    let store = &stage.ctx.store;
    let now = store.jobs().now().await.unwrap();
    for _ in 0..count {
        let connection = connection::ActiveModel {
            id: Set(ConnectionId::new(store.clock())),
            org_id: Set(org),
            provider: Set("square".into()),
            name: Set("shop".into()),
            config: Set(json!({})),
            status: Set(ConnectionStatus::Active),
            health: Set(Health::Unknown),
            exclusive: Set(false),
            capabilities_off: Set(json!([])),
            error_count: Set(0),
            version: Set(1),
            created_by: Set("test".into()),
            created_at: Set(now),
            updated_at: Set(now),
            ..Default::default()
        };
        let connection = connection.insert(store.db()).await.unwrap().id;
        let new = NewSchedule {
            org,
            connection,
            stream: "catalog".into(),
            capability: "sync_catalog".into(),
            pull: SchedulePull::Incremental,
            timing: Timing::Every(Period::parse("1h").unwrap()),
            misfire: Misfire::Last,
            created_by: "test".into(),
        };
        let tx = store.begin().await.unwrap();
        let long_ago = now - TimeDelta::hours(2);
        store.insert_schedule(&tx, new, long_ago).await.unwrap();
        tx.commit().await.unwrap();
    }
}

struct Running {
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

fn scheduler(stage: &Stage, host: &str) -> Running {
    let identity = Identity::Own { host: host.into() };
    let ctx = &stage.ctx;
    let deps = SchedulerDeps::new(
        ctx.store.clone(),
        Arc::clone(&ctx.hints),
        Arc::clone(&ctx.clock),
        identity,
    );
    let stop = CancellationToken::new();
    let ended = tokio::spawn(patchbay_scheduler::run(deps, stop.clone()));
    Running { stop, ended }
}

#[tokio::test]
async fn three_schedulers_make_one_hinted_job_of_each_tick_and_say_so() {
    const SCHEDULES: usize = 60;
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let org = stage.org().await;
    overdue(&stage, org, SCHEDULES).await;
    let running = ["one", "two", "three"].map(|host| scheduler(&stage, host));
    let store = &stage.ctx.store;
    let ticks = async || schedule_tick::Entity::find().all(store.db()).await.unwrap();
    until("every schedule ran", async || {
        let ticks = ticks().await;
        let made = ticks
            .iter()
            .filter(|tick| tick.outcome == TickOutcome::Made);
        made.count() == SCHEDULES
    })
    .await;
    let jobs = store.jobs_active(org, 200).await.unwrap();
    assert_eq!(jobs.len(), SCHEDULES, "no tick has a second job");
    until("every job is hinted", async || {
        let depths = stage.ctx.hints.depth(Queue::Sync, &[org]).await.unwrap();
        depths == [SCHEDULES]
    })
    .await;
    until("three schedulers report", async || {
        let found = store.scheduler_statuses().await.unwrap();
        let with_schedules = found.iter().filter(|one| {
            let mut duties = one.duties.iter();
            one.alive && duties.any(|(duty, _)| duty.duty == "schedules" && duty.behind.is_some())
        });
        with_schedules.count() == 3
    })
    .await;
    for one in running {
        one.stop.cancel();
        one.ended.await.unwrap();
    }
    let left = store.scheduler_statuses().await.unwrap();
    assert!(
        left.is_empty(),
        "those that stopped are not shown: {left:?}"
    );
}

#[tokio::test]
async fn a_schedule_that_cannot_be_written_is_reported_as_lag() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let org = stage.org().await;
    overdue(&stage, org, 1).await;
    let store = &stage.ctx.store;
    // Somebody holds the row, as a long transaction would.
    let tx = store.begin().await.unwrap();
    let sql = "set local idle_in_transaction_session_timeout = 0; update schedules set updated_at = updated_at";
    tx.execute_unprepared(sql).await.unwrap();
    let one = scheduler(&stage, "one");
    let behind = async || {
        let found = store.scheduler_statuses().await.unwrap();
        let duties = found.first()?.duties.clone();
        let schedules = duties.into_iter().find(|duty| duty.0.duty == "schedules")?;
        schedules.0.behind
    };
    until("the lag is told", async || {
        behind().await.is_some_and(|behind| behind.as_secs() >= 60)
    })
    .await;
    tx.rollback().await.unwrap();
    until("it has run", async || {
        store.schedule_lag().await.unwrap().is_zero()
    })
    .await;
    one.stop.cancel();
    one.ended.await.unwrap();
}
