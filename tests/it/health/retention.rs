//! What the scheduler forgets of checks, and when.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use patchbay_core::{entities::health_day, health::day::Day};
use patchbay_scheduler::{Identity, Retention, SchedulerDeps};
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{clinic::Clinic, on_both_databases};

on_both_databases!(hourly_counts_are_kept_for_as_long_as_the_setting_says);

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn days_kept(clinic: &Clinic) -> Vec<health_day::Model> {
    health_day::Entity::find()
        .order_by_asc(health_day::Column::Day)
        .all(clinic.ctx.store.db())
        .await
        .unwrap()
}

async fn hourly_counts_are_kept_for_as_long_as_the_setting_says(clinic: Clinic) {
    let patient = clinic.patient().await;
    let store = clinic.ctx.store.clone();
    let today = store.jobs().now().await.unwrap().date_naive();
    // More than one statement's worth of what goes.
    let rows = (0..1_200).map(|ago| health_day::ActiveModel {
        connection_id: Set(patient.id),
        day: Set(today - TimeDelta::days(ago)),
        hours: Set(Day::default().encode()),
    });
    health_day::Entity::insert_many(rows)
        .exec_without_returning(store.db())
        .await
        .unwrap();
    let own = Identity::Own {
        host: "test".to_owned(),
    };
    let (hints, clock) = (Arc::clone(&clinic.ctx.hints), Arc::clone(&clinic.ctx.clock));
    let mut deps = SchedulerDeps::new(store, hints, clock, own);
    deps.retention = Retention {
        health_rollups: 40 * DAY,
        ..Retention::default()
    };
    let stop = CancellationToken::new();
    let scheduler = tokio::spawn(patchbay_scheduler::run(deps, stop.clone()));
    // Midnight may come in between.
    let pruned = async {
        while days_kept(&clinic).await.len() > 41 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), pruned).await.unwrap();
    stop.cancel();
    scheduler.await.unwrap();
    let kept = days_kept(&clinic).await;
    assert!((40..=41).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().unwrap().day, today, "the newest stay");
}
