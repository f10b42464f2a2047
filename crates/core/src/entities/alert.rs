//! Table `alerts`. What is wrong in an org, one row a cause.

use sea_orm::entity::prelude::*;

use crate::{
    alerts::AlertKind,
    ids::{AlertId, ConnectionId, OrgId},
};

/// A row of `alerts`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alerts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AlertId,
    pub org_id: OrgId,
    pub kind: AlertKind,
    pub cause_key: String,
    pub connection_id: Option<ConnectionId>,
    pub count: i64,
    pub seen: i64,
    pub first_seen: DateTimeUtc,
    pub last_seen: DateTimeUtc,
    pub flaps: i32,
    pub acknowledged_at: Option<DateTimeUtc>,
    pub acknowledged_by: Option<String>,
    pub silenced_until: Option<DateTimeUtc>,
    pub silenced_by: Option<String>,
    pub notified_at: Option<DateTimeUtc>,
    pub withheld_at: Option<DateTimeUtc>,
    pub resolved_at: Option<DateTimeUtc>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
