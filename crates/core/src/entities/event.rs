//! Table `events`. One line of an org's activity log.

use sea_orm::entity::prelude::*;

use crate::events::EventKind;
use crate::ids::{ConnectionId, EventId, JobId, OrgId};

/// A row of `events`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    pub org_id: OrgId,
    pub kind: EventKind,
    pub actor: String,
    pub connection_id: Option<ConnectionId>,
    pub job_id: Option<JobId>,
    #[sea_orm(column_type = "JsonBinary")]
    pub data: Json,
    pub at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
