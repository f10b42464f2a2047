//! Table `alert_limits`. From when on something is an alert for an org.

use sea_orm::entity::prelude::*;

use crate::ids::OrgId;

/// A row of `alert_limits`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_limits")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org_id: OrgId,
    pub failures_in_a_row: i32,
    pub schedule_lag_seconds: i32,
    pub queue_age_seconds: i32,
    pub quiet_seconds: i32,
    pub updated_by: String,
    pub updated_at: DateTimeUtc,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
