//! Table `duty_reports`. What each duty of each scheduler last did.

use sea_orm::entity::prelude::*;

use crate::ids::ProcessId;

/// A row of `duty_reports`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "duty_reports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub process_id: ProcessId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub duty: String,
    pub last_run_at: DateTimeUtc,
    pub last_success_at: Option<DateTimeUtc>,
    pub took_ms: i64,
    pub late_ms: i64,
    pub behind_ms: Option<i64>,
    pub runs: i64,
    pub done: i64,
    pub errors: i64,
    pub last_error: Option<String>,
    pub reported_at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
