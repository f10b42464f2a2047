//! Table `org_keys`. An org's data key, wrapped by a key of the deployment's keyring.

use sea_orm::entity::prelude::*;

use crate::ids::{OrgId, OrgKeyId};

/// A row of `org_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "org_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrgKeyId,
    pub org_id: OrgId,
    pub wrapped_by: String,
    pub wrapped: Vec<u8>,
    pub created_at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
