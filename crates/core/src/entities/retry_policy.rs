//! Table `retry_policies`. How failed work of an org is tried again.

use sea_orm::entity::prelude::*;

use crate::{
    ids::OrgId,
    retry::{Backoff, Scope},
};

/// A row of `retry_policies`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "retry_policies")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org_id: OrgId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope: Scope,
    pub kind: Backoff,
    pub max_retries: i32,
    pub base_ms: i64,
    pub cap_ms: i64,
    pub jitter: bool,
    pub dead_letters: bool,
    pub updated_by: String,
    pub updated_at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
