//! Table `org_keys`. An org's data keys, wrapped by a key of the deployment's keyring: the
//! current one closes, retired ones open until nothing uses them.

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
    pub retired_at: Option<DateTimeUtc>,
    pub made_by: Option<Uuid>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
