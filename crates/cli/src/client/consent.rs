//! A consent as the API shows it.

use chrono::{DateTime, Utc};
use patchbay_core::{
    failure::Failure,
    ids::{ConnectionId, ConsentId},
};
use serde::Deserialize;

/// The answer to a request for a consent.
#[derive(Debug, Clone, Deserialize)]
pub struct Asked {
    pub consent_id: ConsentId,
    pub url: Option<String>,
    pub expires_at: DateTime<Utc>,
}

/// How a consent stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Consent {
    pub status: Status,
    pub connection_id: Option<ConnectionId>,
    pub failure: Option<Failure>,
}

/// Where a consent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Open,
    Opened,
    Exchanging,
    Connected,
    Failed,
    Expired,
}
