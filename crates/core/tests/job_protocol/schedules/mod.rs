//! Schedules: each tick once, whoever looks and however late.

mod connections;
mod misfires;
mod people;
mod ticks;

use chrono::{DateTime, Utc};
use patchbay_core::{
    entities::{job, schedule, schedule_tick},
    ids::{ConnectionId, OrgId, ScheduleId},
    schedule::{CronTimes, Misfire, Period, SchedulePull, TickOutcome, Timing},
    store::schedules::NewSchedule,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::stage::Stage;

pub fn every(text: &str) -> Timing {
    Timing::Every(Period::parse(text).unwrap())
}

pub fn cron(pattern: &str, zone: &str) -> Timing {
    Timing::Cron(CronTimes::parse(pattern, zone).unwrap())
}

pub fn of(org: OrgId, connection: ConnectionId, timing: Timing) -> NewSchedule {
    NewSchedule {
        org,
        connection,
        stream: "catalog".into(),
        capability: "sync_catalog".into(),
        pull: SchedulePull::Incremental,
        timing,
        misfire: Misfire::Last,
        created_by: "test".into(),
    }
}

impl Stage {
    pub async fn schedule(&self, new: NewSchedule) -> schedule::Model {
        let now = self.jobs().now().await.unwrap();
        let tx = self.store.begin().await.unwrap();
        let row = self.store.insert_schedule(&tx, new, now).await.unwrap();
        tx.commit().await.unwrap();
        row
    }

    pub async fn schedule_row(&self, id: ScheduleId) -> schedule::Model {
        let found = schedule::Entity::find_by_id(id).one(self.store.db()).await;
        found.unwrap().unwrap()
    }

    /// Moves the clock to the moment a schedule is due.
    pub async fn until_due(&self, id: ScheduleId) {
        let due = self.schedule_row(id).await.next_at.unwrap();
        let wait = due - self.jobs().now().await.unwrap();
        self.advance(wait.to_std().unwrap()).await;
    }

    /// One scheduler looks once, and finds at most 100.
    pub async fn tick(&self) -> u64 {
        self.store.tick_schedules(100).await.unwrap().schedules
    }

    /// What became of the ticks of a schedule, oldest first.
    pub async fn ticks(&self, id: ScheduleId) -> Vec<(DateTime<Utc>, TickOutcome)> {
        schedule_tick::Entity::find()
            .filter(schedule_tick::Column::ScheduleId.eq(id))
            .order_by_asc(schedule_tick::Column::Tick)
            .all(self.store.db())
            .await
            .unwrap()
            .into_iter()
            .map(|tick| (tick.tick, tick.outcome))
            .collect()
    }

    /// Only what became of them.
    pub async fn outcomes(&self, id: ScheduleId) -> Vec<TickOutcome> {
        let ticks = self.ticks(id).await;
        ticks.into_iter().map(|(_, outcome)| outcome).collect()
    }

    pub async fn all_jobs(&self) -> Vec<job::Model> {
        let jobs = job::Entity::find().order_by_asc(job::Column::Id);
        jobs.all(self.store.db()).await.unwrap()
    }
}
