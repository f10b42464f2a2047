//! Arguments of jobs, as the API writes them and the worker reads them. Never secret:
//! secrets travel in the job's `sealed` column.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{AlertChannelId, ConnectionId, ConsentId, CredentialId};

/// Arguments of `connection_test`: tries a candidate; if it works it becomes current.
/// A new credential is in the job's sealed arguments; without one the present
/// credential is tried with the candidate config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionTestArgs {
    /// The config to try.
    pub config: Value,
    /// When the connection had been disconnected, where it was when this was asked for: if the
    /// credential opens its account, it comes back with its records and cursors. One that was
    /// disconnected again since stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revives: Option<DateTime<Utc>>,
}

/// Arguments of `action`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionArgs {
    /// Its key in the provider's manifest.
    pub action: String,
    /// What it is given, checked against the action's schema.
    pub input: Value,
}

/// Arguments of `consent_exchange`. The code and the callback's query are sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentExchangeArgs {
    /// The consent, consumed.
    pub consent: ConsentId,
    /// Key of the provider, for people.
    pub provider: String,
}

/// Arguments of `oauth_client_set`. The secret is sealed; a public client has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthClientSetArgs {
    /// Key of the provider.
    pub provider: String,
    /// The client's id at the provider.
    pub client_id: String,
}

/// Arguments of `alert_webhook_set`. The secret is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertWebhookSetArgs {
    /// The channel that signs with it.
    pub channel: AlertChannelId,
}

/// Arguments of `alert_delivery`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertDeliveryArgs {
    /// Where to.
    pub channel: AlertChannelId,
    /// A person asked for it: it is sent also to a receiver that wanted no more.
    pub test: bool,
    /// What is sent, the same in every attempt.
    pub message: Value,
}

/// Arguments of `health_check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheckArgs {
    /// Who wants to know: `manual`, `scheduled` or `auto`.
    pub reason: CheckReason,
}

/// Arguments of `health_batch`: of the clock a job of the deployment, of a person one of
/// the org.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthBatchArgs {
    /// Key of their provider, for people.
    pub provider: String,
    /// Who wants to know.
    pub reason: CheckReason,
    /// When it was asked for, to the millisecond. A check since then need not be made again.
    pub asked_at: DateTime<Utc>,
    /// What to check.
    pub connections: Vec<ConnectionId>,
}

/// Who wants to know how a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckReason {
    /// A person.
    Manual,
    /// The clock.
    Scheduled,
    /// The product, after a failure.
    Auto,
}

impl CheckReason {
    /// The name in the health log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
            Self::Auto => "auto",
        }
    }
}

/// Arguments of `credential_refresh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRefreshArgs {
    /// The version to replace; another in force means that it was done.
    pub version: i64,
}

/// Arguments of `credential_revoke`. The grant is in the job's sealed arguments, as the
/// vault closed it for the credential's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRevokeArgs {
    /// The connection it belonged to.
    pub connection: ConnectionId,
    /// The credential's row, a tombstone now.
    pub credential: CredentialId,
    /// Key of the provider.
    pub provider: String,
    /// The connection's config, which names the place at the provider.
    pub config: Value,
    /// The OAuth client it was granted to.
    pub client_id: String,
    /// The account that granted it.
    pub account_key: Option<String>,
}
