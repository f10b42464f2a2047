//! Table `oauth_clients`. An org's own client at a provider.

use sea_orm::entity::prelude::*;

use crate::ids::{OauthClientId, OrgId};

/// A row of `oauth_clients`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_clients")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OauthClientId,
    pub org_id: OrgId,
    pub provider: String,
    pub client_id: String,
    pub secret: Option<Vec<u8>>,
    pub mask: Option<String>,
    pub created_by: String,
    pub created_at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
