//! Table `consents`. One consent from its request to its end.

use sea_orm::entity::prelude::*;

use crate::ids::{ConnectionId, ConsentId, JobId, OrgId};

/// A row of `consents`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "consents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConsentId,
    pub org_id: OrgId,
    pub provider: String,
    pub connection_id: Option<ConnectionId>,
    pub name: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub config: Json,
    #[sea_orm(column_type = "JsonBinary")]
    pub scopes: Json,
    pub client_id: String,
    pub redirect_uri: String,
    pub return_url: Option<String>,
    pub job_id: JobId,
    pub ticket_hash: Vec<u8>,
    pub state_hash: Option<Vec<u8>>,
    pub browser_hash: Option<Vec<u8>>,
    pub verifier: Option<Vec<u8>>,
    pub verifier_key: Option<String>,
    pub requested_by: String,
    pub trace_context: Option<String>,
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub opened_at: Option<DateTimeUtc>,
    pub consumed_at: Option<DateTimeUtc>,
    pub exchanged_at: Option<DateTimeUtc>,
    #[sea_orm(column_type = "JsonBinary")]
    pub failure: Option<Json>,
}

/// No relations: queries name their joins.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
