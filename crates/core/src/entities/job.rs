//! Table `jobs`. One durable piece of work. The row is the outbox; Redis only hints at it.

use sea_orm::entity::prelude::*;

use crate::{
    ids::{ConnectionId, JobId, OrgId, ProcessId},
    job::{JobKind, JobState, Queue},
};

/// A row of `jobs`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub org_id: Option<OrgId>,
    pub connection_id: Option<ConnectionId>,
    pub kind: JobKind,
    pub queue: Queue,
    pub lane: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub args: Json,
    pub sealed: Option<Vec<u8>>,
    pub sealed_key: Option<String>,
    pub state: JobState,
    pub run_at: DateTimeUtc,
    pub attempt: i32,
    pub max_attempts: i32,
    pub crashes: i32,
    pub timeout_s: i32,
    pub lease_epoch: i64,
    pub leased_by: Option<ProcessId>,
    pub deadline: Option<DateTimeUtc>,
    pub dedupe_key: Option<String>,
    pub again: bool,
    #[sea_orm(column_type = "JsonBinary")]
    pub progress: Option<Json>,
    pub progress_no: i64,
    #[sea_orm(column_type = "JsonBinary")]
    pub cursor: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub result: Option<Json>,
    #[sea_orm(column_type = "JsonBinary")]
    pub error: Option<Json>,
    pub trace_context: Option<String>,
    pub requested_by: String,
    pub created_at: DateTimeUtc,
    pub started_at: Option<DateTimeUtc>,
    pub finished_at: Option<DateTimeUtc>,
    pub discarded_at: Option<DateTimeUtc>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
