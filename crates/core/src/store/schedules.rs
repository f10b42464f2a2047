//! Schedules as people make, change and read them. What the clock does with them is in
//! `ticking`; who is behind, in `lag`.
//!
//! Order of locks: the connection's row before its schedules, schedules before jobs.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType,
};
use serde_json::{Value, json};

mod lag;
mod standing;
mod ticking;

pub use lag::LateSchedule;
pub use standing::Standing;
pub use ticking::Ticked;

use super::{Store, StoreError, events::NewEvent};
use crate::{
    entities::schedule::{self, ActiveModel, Column, Entity, Model},
    events::EventKind,
    ids::{ConnectionId, OrgId, ScheduleId},
    schedule::{Misfire, SchedulePull, Timing},
};

/// Schedules that a connection may have.
pub const OF_ONE_CONNECTION: u64 = 100;

/// A schedule to be made.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// Whose.
    pub org: OrgId,
    /// What it syncs.
    pub connection: ConnectionId,
    /// Key of the stream.
    pub stream: String,
    /// What must be switched on for it.
    pub capability: String,
    /// How much.
    pub pull: SchedulePull,
    /// When.
    pub timing: Timing,
    /// What becomes of ticks that were missed.
    pub misfire: Misfire,
    /// Who asked.
    pub created_by: String,
}

/// What to change; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ScheduleChange {
    /// How much.
    pub pull: Option<SchedulePull>,
    /// When.
    pub timing: Option<Timing>,
    /// What becomes of ticks that were missed.
    pub misfire: Option<Misfire>,
}

/// Which schedules to read. Pages go from old to new.
#[derive(Debug, Clone, Default)]
pub struct ScheduleFilter {
    /// Only of this connection.
    pub connection: Option<ConnectionId>,
    /// Only those after this one.
    pub after: Option<ScheduleId>,
}

impl Store {
    /// Makes a schedule; its first tick is the next after `now`. The caller holds the
    /// connection's row, so that a disconnect cannot pass.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_schedule(
        &self,
        tx: &DatabaseTransaction,
        new: NewSchedule,
        now: DateTime<Utc>,
    ) -> Result<Model, StoreError> {
        let mut row = Model {
            id: ScheduleId::new(self.clock()),
            org_id: new.org,
            connection_id: new.connection,
            stream: new.stream,
            capability: new.capability,
            pull: new.pull,
            every_s: None,
            cron: None,
            time_zone: None,
            misfire: new.misfire,
            tick: None,
            next_at: None,
            paused_at: None,
            last_tick: None,
            last_outcome: None,
            last_job_id: None,
            last_at: None,
            created_by: new.created_by,
            created_at: now,
            updated_at: now,
        };
        set_timing(&mut row, &new.timing, now);
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(tx)
            .await?;
        let actor = row.created_by.clone();
        self.tell(tx, &row, EventKind::ScheduleCreated, &actor, told(&row))
            .await?;
        Ok(row)
    }

    /// One schedule of an org.
    ///
    /// # Errors
    /// The database.
    pub async fn schedule(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        id: ScheduleId,
    ) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id)
            .filter(Column::OrgId.eq(org))
            .one(db)
            .await?)
    }

    /// The same, its row held until the transaction ends; no scheduler ticks it meanwhile.
    ///
    /// # Errors
    /// The database.
    pub async fn lock_schedule(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: ScheduleId,
    ) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id)
            .filter(Column::OrgId.eq(org))
            .lock(LockType::NoKeyUpdate)
            .one(tx)
            .await?)
    }

    /// A page of an org's schedules, oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn schedules(
        &self,
        org: OrgId,
        filter: &ScheduleFilter,
        limit: u64,
    ) -> Result<Vec<Model>, StoreError> {
        let mut query = Entity::find().filter(Column::OrgId.eq(org));
        if let Some(connection) = filter.connection {
            query = query.filter(Column::ConnectionId.eq(connection));
        }
        if let Some(after) = filter.after {
            query = query.filter(Column::Id.gt(after));
        }
        Ok(query
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(self.db())
            .await?)
    }

    /// How many schedules a connection has. The caller holds its row.
    ///
    /// # Errors
    /// The database.
    pub async fn count_schedules(
        &self,
        tx: &DatabaseTransaction,
        connection: ConnectionId,
    ) -> Result<u64, StoreError> {
        Ok(Entity::find()
            .filter(Column::ConnectionId.eq(connection))
            .count(tx)
            .await?)
    }

    /// Changes a schedule. With a new timing its next tick is the first after `now`. The
    /// caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn change_schedule(
        &self,
        tx: &DatabaseTransaction,
        mut row: Model,
        change: ScheduleChange,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<Model, StoreError> {
        let mut changed = Vec::new();
        if let Some(pull) = change.pull {
            row.pull = pull;
            changed.push("pull");
        }
        if let Some(misfire) = change.misfire {
            row.misfire = misfire;
            changed.push("misfire");
        }
        if let Some(timing) = change.timing {
            set_timing(&mut row, &timing, now);
            changed.push("timing");
        }
        let mut data = told(&row);
        data["changed"] = json!(changed);
        self.write(tx, row, EventKind::ScheduleUpdated, actor, data, now)
            .await
    }

    /// Stops a schedule until it is resumed. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn pause_schedule(
        &self,
        tx: &DatabaseTransaction,
        mut row: Model,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<Model, StoreError> {
        row.paused_at = Some(now);
        let data = told(&row);
        self.write(tx, row, EventKind::SchedulePaused, actor, data, now)
            .await
    }

    /// Lets a schedule go on with the first tick after `now`: what it was paused for is not
    /// made up for. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn resume_schedule(
        &self,
        tx: &DatabaseTransaction,
        mut row: Model,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<Model, StoreError> {
        row.paused_at = None;
        if let Some(timing) = row.timing() {
            set_timing(&mut row, &timing, now);
        }
        let data = told(&row);
        self.write(tx, row, EventKind::ScheduleResumed, actor, data, now)
            .await
    }

    /// Deletes a schedule with its history; jobs that it made stay. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn delete_schedule(
        &self,
        tx: &DatabaseTransaction,
        row: &Model,
        actor: &str,
    ) -> Result<(), StoreError> {
        Entity::delete_by_id(row.id).exec(tx).await?;
        self.tell(tx, row, EventKind::ScheduleDeleted, actor, told(row))
            .await
    }

    /// Deletes the schedules of a connection. Before its jobs are cancelled: it waits for a
    /// scheduler that is just making one. The caller holds the connection's row.
    ///
    /// # Errors
    /// The database.
    pub async fn delete_schedules_of(
        &self,
        tx: &DatabaseTransaction,
        connection: ConnectionId,
    ) -> Result<u64, StoreError> {
        Ok(Entity::delete_many()
            .filter(Column::ConnectionId.eq(connection))
            .exec(tx)
            .await?
            .rows_affected)
    }

    async fn write(
        &self,
        tx: &DatabaseTransaction,
        mut row: Model,
        kind: EventKind,
        actor: &str,
        data: Value,
        now: DateTime<Utc>,
    ) -> Result<Model, StoreError> {
        row.updated_at = now;
        Entity::update(ActiveModel {
            id: Set(row.id),
            pull: Set(row.pull),
            every_s: Set(row.every_s),
            cron: Set(row.cron.clone()),
            time_zone: Set(row.time_zone.clone()),
            misfire: Set(row.misfire),
            tick: Set(row.tick),
            next_at: Set(row.next_at),
            paused_at: Set(row.paused_at),
            updated_at: Set(row.updated_at),
            ..Default::default()
        })
        .exec(tx)
        .await?;
        self.tell(tx, &row, kind, actor, data).await?;
        Ok(row)
    }

    async fn tell(
        &self,
        tx: &DatabaseTransaction,
        row: &Model,
        kind: EventKind,
        actor: &str,
        data: Value,
    ) -> Result<(), StoreError> {
        let event = NewEvent::new(row.org_id, kind, actor).connection(row.connection_id);
        self.record_event(tx, event.data(data)).await?;
        Ok(())
    }
}

fn told(row: &Model) -> Value {
    json!({
        "schedule": row.id, "stream": row.stream, "pull": row.pull, "every_s": row.every_s,
        "cron": row.cron, "time_zone": row.time_zone, "misfire": row.misfire,
    })
}

/// Writes the timing's columns and the first tick after `now`.
fn set_timing(row: &mut schedule::Model, timing: &Timing, now: DateTime<Utc>) {
    (row.every_s, row.cron, row.time_zone) = match timing {
        Timing::Every(period) => (Some(period.seconds()), None, None),
        Timing::Cron(times) => (
            None,
            Some(times.pattern().to_owned()),
            Some(times.zone().to_owned()),
        ),
    };
    let next = row.first_after(timing, now);
    row.tick = next.map(|next| next.tick);
    row.next_at = next.map(|next| next.due);
}
