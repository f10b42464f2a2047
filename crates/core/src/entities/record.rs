//! Table `records`. One pulled object: unified shape and raw shape.

use sea_orm::entity::prelude::*;

use crate::ids::{ConnectionId, OrgId};

/// A row of `records`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "records")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub external_id: String,
    pub org_id: OrgId,
    pub kind: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub data: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub raw: Json,
    pub content_hash: Vec<u8>,
    pub source_version: Option<i64>,
    pub generation: i64,
    pub change_no: i64,
    pub first_seen: DateTimeUtc,
    pub last_changed: DateTimeUtc,
    pub deleted_at: Option<DateTimeUtc>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
