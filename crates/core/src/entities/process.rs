//! Table `processes`. One run of a process of ours and its lease.

use sea_orm::entity::prelude::*;

use crate::ids::{JobId, ProcessId};

/// A row of `processes`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "processes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProcessId,
    pub kind: String,
    pub version: String,
    pub host: String,
    pub started_at: DateTimeUtc,
    pub lease_until: DateTimeUtc,
    pub ended_at: Option<DateTimeUtc>,
    pub alone_with: Option<JobId>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
