//! What may be told of a credential: never the secret.

use chrono::{DateTime, Utc};
use patchbay_core::{
    connection::CredentialOrigin, entities::credential, store::credentials::TokenStatus,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A credential, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Credential)]
pub struct CredentialView {
    /// Grows with every replacement and every refresh.
    version: i64,
    /// `active`; `expiring`: ends soon; `expired`: ended or refused, connect again; `revoked`:
    /// withdrawn here, only who and when are kept.
    #[schema(value_type = String)]
    status: &'static str,
    /// `secret`: a person gave it; `consent`: the provider granted it.
    #[schema(value_type = String)]
    origin: CredentialOrigin,
    /// A mask of each secret field, made when it was sealed.
    #[schema(value_type = Object)]
    mask: Value,
    /// What the provider granted, where it says.
    scopes: Option<Vec<String>>,
    /// When its token stops working, where that is known.
    expires_at: Option<DateTime<Utc>>,
    /// Whether it is renewed without a person.
    refreshable: bool,
    /// When it was last renewed.
    refreshed_at: Option<DateTime<Utc>>,
    /// When it can no longer be renewed, where that is known.
    refresh_expires_at: Option<DateTime<Utc>>,
    /// When the provider refused it for good.
    refused_at: Option<DateTime<Utc>>,
    /// Who set it.
    created_by: String,
    /// When it was set.
    created_at: DateTime<Utc>,
    /// Who withdrew it.
    revoked_by: Option<String>,
    /// When it was withdrawn.
    revoked_at: Option<DateTime<Utc>>,
}

impl CredentialView {
    /// The scopes of a credential in force, where they are known.
    pub(super) fn granted(&self) -> Option<&[String]> {
        let scopes = self.scopes.as_deref();
        scopes.filter(|_| self.revoked_at.is_none())
    }

    pub(super) fn of(row: credential::Model, now: DateTime<Utc>) -> Self {
        let status = TokenStatus::of(&row, now).name();
        let scopes = row.scopes.as_ref().and_then(Value::as_array).map(|scopes| {
            let texts = scopes.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        });
        Self {
            version: row.version,
            status,
            origin: row.origin,
            mask: row.mask,
            scopes,
            expires_at: row.expires_at,
            refreshable: row.refreshable,
            refreshed_at: row.refreshed_at,
            refresh_expires_at: row.refresh_expires_at,
            refused_at: row.refused_at,
            created_by: row.created_by,
            created_at: row.created_at,
            revoked_by: row.revoked_by,
            revoked_at: row.revoked_at,
        }
    }
}
