//! Table `retention_marks`. How far retention has come where rows stay.

use sea_orm::entity::prelude::*;

/// A row of `retention_marks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "retention_marks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub what: String,
    pub until: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
