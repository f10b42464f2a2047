//! Table `credentials`. One version of a connection's secret material, sealed; a tombstone once revoked.

use sea_orm::entity::prelude::*;

use crate::{
    connection::CredentialOrigin,
    ids::{ConnectionId, CredentialId, OrgId},
};

/// A row of `credentials`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "credentials")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CredentialId,
    pub org_id: OrgId,
    pub connection_id: ConnectionId,
    pub version: i64,
    pub sealed: Option<Vec<u8>>,
    #[sea_orm(column_type = "JsonBinary")]
    pub mask: Json,
    pub expires_at: Option<DateTimeUtc>,
    pub created_by: String,
    pub created_at: DateTimeUtc,
    pub revoked_by: Option<String>,
    pub revoked_at: Option<DateTimeUtc>,
    pub origin: CredentialOrigin,
    pub client_id: Option<String>,
    #[sea_orm(column_type = "JsonBinary")]
    pub scopes: Option<Json>,
    pub refreshable: bool,
    pub refresh_expires_at: Option<DateTimeUtc>,
    pub refreshed_at: Option<DateTimeUtc>,
    pub refresh_due_at: Option<DateTimeUtc>,
    pub refresh_by: Option<Uuid>,
    pub refresh_until: Option<DateTimeUtc>,
    pub refresh_sent_at: Option<DateTimeUtc>,
    pub refresh_failures: i32,
    pub refused_at: Option<DateTimeUtc>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
