//! What a provider can be asked, and what it answers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use patchbay_core::secret::SecretFields;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{manifest::Manifest, schema::FieldError, session::Session};

/// A kind of external system.
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// What the provider declares of itself.
    fn manifest(&self) -> &Manifest;

    /// What is wrong with config and secrets that a schema cannot say: fields that exclude
    /// each other, say. Without secrets the ones in force are meant, which nobody sees here.
    /// Whatever does not fit the schema is passed over.
    fn config_faults(&self, _config: &Value, _secret: Option<&SecretFields>) -> Vec<FieldError> {
        Vec::new()
    }

    /// The same of what an action is given. Pointers begin with `/input`.
    fn input_faults(&self, _action: &str, _input: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Tries the credential and tells whose account it opens. Costs a cheap call or two.
    ///
    /// # Errors
    /// The kind says whether the credential, the request or the provider is at fault.
    async fn test(&self, session: &Session) -> Result<Account, ProviderError>;

    /// Pulls the next page of a stream. Holds no state of its own: `pull.position`
    /// says where to go on, so that a run continues after a crash in any process.
    ///
    /// # Errors
    /// As [`Self::test`]; `Invalid` where the stream or mode is not in the manifest.
    async fn pull(&self, session: &Session, pull: &Pull) -> Result<Page, ProviderError>;

    /// Does something at the provider, or fetches one thing that no stream holds. `input`
    /// fits the action's schema (`Manifest::check_input`). The caller decides about
    /// repeats: an action whose manifest entry is not `repeatable` is sent once.
    ///
    /// # Errors
    /// As [`Self::test`]; `Invalid` where the manifest has no such action;
    /// `UnknownOutcome` where an effect may or may not have happened.
    async fn act(
        &self,
        _session: &Session,
        action: &str,
        _input: &Value,
    ) -> Result<Value, ProviderError> {
        Err(no_such_action(self.manifest(), action))
    }
}

/// The refusal of a stream that a provider does not have.
pub(crate) fn no_such_stream(manifest: &Manifest, stream: &str) -> ProviderError {
    ProviderError::invalid(
        format!("{} has no stream `{stream}`.", manifest.label),
        "Ask for a stream that the provider's entry in the catalogue lists.",
    )
}

/// The refusal of an action that a provider does not have.
pub(crate) fn no_such_action(manifest: &Manifest, action: &str) -> ProviderError {
    let known: Vec<&str> = manifest.actions.iter().map(|it| it.key.as_str()).collect();
    let message = if known.is_empty() {
        format!("{} has no actions.", manifest.label)
    } else {
        format!(
            "{} has no action `{action}`; it has: {}.",
            manifest.label,
            known.join(", ")
        )
    };
    ProviderError::invalid(
        message,
        "Ask for an action that the provider's entry in the catalogue lists.",
    )
}

/// Whose account a credential opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The provider's own id of the account.
    pub key: String,
    /// Its name, for people.
    pub name: String,
    /// What the credential may do, where the provider tells with the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// A request for one page.
#[derive(Debug, Clone, PartialEq)]
pub struct Pull {
    /// Key of the stream, as in the manifest.
    pub stream: String,
    /// How much of it.
    pub mode: PullMode,
    /// The stream's cursor when this run began (a finished run's `Page::cursor`).
    pub cursor: Option<Value>,
    /// Where this run stands; `None` at its first page.
    pub position: Option<Value>,
    /// When this run began. Requests with an open end use it as their end.
    pub started_at: DateTime<Utc>,
}

/// One page of records.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// What came.
    pub records: Vec<PulledRecord>,
    /// Where the run goes on; `None` ends it.
    pub next: Option<Value>,
    /// The stream's new cursor; said on the last page of an incremental or full run.
    pub cursor: Option<Value>,
    /// Records in all, where the provider tells.
    pub total: Option<u64>,
    /// Whether this run sees every living record, so that what it did not see is gone.
    /// (A full run through a list; an incremental run with no cursor.)
    pub complete: bool,
}

/// One object of the provider.
#[derive(Debug, Clone, PartialEq)]
pub struct PulledRecord {
    /// The provider's id.
    pub external_id: String,
    /// What it is within the stream: `item`, `category`, `order`.
    pub kind: String,
    /// The unified shape: money in minor units + currency, quantities as exact decimals.
    pub data: Value,
    /// The provider's own shape, as it came.
    pub raw: Value,
    /// Grows with every change at the provider (version or time in ms); an older one
    /// never replaces a newer one.
    pub source_version: Option<i64>,
    /// The provider says it was deleted.
    pub deleted: bool,
}

pub use crate::error::ProviderError;
pub use patchbay_core::sync_args::{PullMode, RangeEnd, SyncArgs};
