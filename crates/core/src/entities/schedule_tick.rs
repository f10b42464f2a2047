//! Table `schedule_ticks`. What became of each tick; its key is the wall behind them.

use sea_orm::entity::prelude::*;

use crate::{
    ids::{JobId, ScheduleId},
    schedule::TickOutcome,
};

/// A row of `schedule_ticks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schedule_ticks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub schedule_id: ScheduleId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub tick: DateTimeUtc,
    pub outcome: TickOutcome,
    pub job_id: Option<JobId>,
    pub at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
