//! Table `alert_channels`. Where an org wants to be told of alerts.

use sea_orm::entity::prelude::*;

use crate::ids::{AlertChannelId, ConnectionId, OrgId};

/// A row of `alert_channels`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_channels")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AlertChannelId,
    pub org_id: OrgId,
    pub connection_id: ConnectionId,
    pub recipients: Json,
    pub created_by: String,
    pub created_at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
