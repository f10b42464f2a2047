//! Table `schedules`. When the clock asks for a sync of one stream of a connection.

use sea_orm::entity::prelude::*;

use crate::{
    ids::{ConnectionId, JobId, OrgId, ScheduleId},
    schedule::{Misfire, SchedulePull, TickOutcome},
};

/// A row of `schedules`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schedules")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ScheduleId,
    pub org_id: OrgId,
    pub connection_id: ConnectionId,
    pub stream: String,
    pub capability: String,
    pub pull: SchedulePull,
    pub every_s: Option<i64>,
    pub cron: Option<String>,
    pub time_zone: Option<String>,
    pub misfire: Misfire,
    pub tick: Option<DateTimeUtc>,
    pub next_at: Option<DateTimeUtc>,
    pub paused_at: Option<DateTimeUtc>,
    pub last_tick: Option<DateTimeUtc>,
    pub last_outcome: Option<TickOutcome>,
    pub last_job_id: Option<JobId>,
    pub last_at: Option<DateTimeUtc>,
    pub created_by: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
