//! Table `job_logs`. One log line of a job, scrubbed.

use sea_orm::entity::prelude::*;

use crate::ids::JobId;

/// A row of `job_logs`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "job_logs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: JobId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub at: DateTimeUtc,
    pub attempt: i32,
    pub level: String,
    pub message: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub fields: Json,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
