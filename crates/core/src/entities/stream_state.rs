//! Table `stream_states`. State of one stream of a connection: cursor, generation, change counter.

use sea_orm::entity::prelude::*;

use crate::ids::{ConnectionId, OrgId};

/// A row of `stream_states`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "stream_states")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream: String,
    pub org_id: OrgId,
    #[sea_orm(column_type = "JsonBinary")]
    pub cursor: Option<Json>,
    pub generation: i64,
    pub change_no: i64,
    pub records: i64,
    pub last_synced_at: Option<DateTimeUtc>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
