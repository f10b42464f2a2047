//! Table `idempotency_keys`. What a repeated request gets: the resource of the first.

use sea_orm::entity::prelude::*;

use crate::ids::OrgId;

/// A row of `idempotency_keys`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org_id: OrgId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub route: String,
    pub body_hash: Vec<u8>,
    pub resource_kind: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub resource_ids: Json,
    pub created_at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
