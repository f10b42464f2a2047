//! Table `connections`. One org's account at a provider.

use sea_orm::entity::prelude::*;

use crate::{
    connection::{ConnectionStatus, Health},
    ids::{ConnectionId, OrgId},
};

/// A row of `connections`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "connections")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConnectionId,
    pub org_id: OrgId,
    pub provider: String,
    pub name: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub config: Json,
    pub status: ConnectionStatus,
    pub health: Health,
    pub exclusive: bool,
    pub account_key: Option<String>,
    pub account_name: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub capabilities_off: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub capabilities_refused: Json,
    pub error_count: i32,
    #[sea_orm(column_type = "JsonBinary")]
    pub last_error: Option<Json>,
    pub last_error_at: Option<DateTimeUtc>,
    pub last_success_at: Option<DateTimeUtc>,
    pub last_checked_at: Option<DateTimeUtc>,
    pub last_synced_at: Option<DateTimeUtc>,
    pub health_interval_minutes: i32,
    pub version: i64,
    pub created_by: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub disconnected_at: Option<DateTimeUtc>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
