//! Table `connection_health`. When a connection is checked, and what its checks came to
//! since the row was last emptied.

use sea_orm::entity::prelude::*;

use crate::ids::{ConnectionId, OrgId};

/// A row of `connection_health`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connection_health")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub connection_id: ConnectionId,
    pub org_id: OrgId,
    pub provider: String,
    pub every_minutes: i32,
    pub next_check_at: Option<DateTimeUtc>,
    pub asked_at: Option<DateTimeUtc>,
    pub last_checked_at: Option<DateTimeUtc>,
    pub last_passed_at: Option<DateTimeUtc>,
    pub outcomes: i32,
    pub open: Vec<u8>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
