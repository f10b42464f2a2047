//! One failure that a person can act on: what happened, what it means, what to do.

use serde::{Deserialize, Serialize};

/// Classes of failure. They decide retry, parking, health and the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The provider refused the credential.
    Auth,
    /// The credential may not do this.
    Scope,
    /// Too many calls.
    RateLimited,
    /// The object is not there.
    NotFound,
    /// The provider refused the request as wrong.
    Invalid,
    /// The provider answers with errors or not at all.
    ProviderDown,
    /// No answer in time.
    Timeout,
    /// An answer that breaks the provider's own contract.
    Protocol,
    /// An effect abroad may or may not have happened.
    UnknownOutcome,
    /// The address policy refused the target.
    Blocked,
    /// The job ran past its own deadline.
    Deadline,
    /// Its process died under it.
    Crash,
    /// A defect or a fault on our side.
    Internal,
}

impl FailureKind {
    /// The name used in answers and in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Scope => "scope",
            Self::RateLimited => "rate_limited",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::ProviderDown => "provider_down",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Blocked => "blocked",
            Self::Deadline => "deadline",
            Self::Crash => "crash",
            Self::Internal => "internal",
        }
    }
}

/// A failure as it is stored and shown. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class.
    pub kind: FailureKind,
    /// What happened, in words, with the provider's own code where there is one.
    pub message: String,
    /// What to do about it.
    pub action: String,
    /// The provider's own error code, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Failure {
    /// A failure with its class, its words and the next step.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            action: action.into(),
            code: None,
        }
    }
}
