//! Table `health_log`. One check of a connection: those that failed, changed the health
//! or were asked for by a person.

use sea_orm::entity::prelude::*;

use crate::{
    connection::Health,
    ids::{ConnectionId, HealthCheckId, OrgId},
};

/// A row of `health_log`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "health_log")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: HealthCheckId,
    pub org_id: OrgId,
    pub connection_id: ConnectionId,
    pub kind: String,
    pub ok: bool,
    pub response_ms: i32,
    pub error_kind: Option<String>,
    pub message: Option<String>,
    pub at: DateTimeUtc,
    #[sea_orm(column_type = "JsonBinary")]
    pub failure: Option<Json>,
    pub health: Option<Health>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
