//! Table `breakers`. Which host of which provider does not answer.

use sea_orm::entity::prelude::*;

/// A row of `breakers`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "breakers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub origin: String,
    pub failures: i32,
    pub first_failed_at: Option<DateTimeUtc>,
    pub opened_at: Option<DateTimeUtc>,
    pub trips: i32,
    pub probe_at: Option<DateTimeUtc>,
    pub reason: Option<String>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
