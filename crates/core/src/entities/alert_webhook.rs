//! Table `alert_webhooks`. Where an org is told of alerts by webhook.

use sea_orm::entity::prelude::*;

use crate::ids::{AlertChannelId, OrgId};

/// A row of `alert_webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_webhooks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AlertChannelId,
    pub org_id: OrgId,
    pub url: String,
    pub secret: Option<Vec<u8>>,
    pub secret_mask: Option<String>,
    pub secret_set_at: Option<DateTimeUtc>,
    pub created_by: String,
    pub created_at: DateTimeUtc,
    pub disabled_at: Option<DateTimeUtc>,
    pub last_delivered_at: Option<DateTimeUtc>,
    pub last_error: Option<Json>,
    pub last_error_at: Option<DateTimeUtc>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
