//! What can go wrong.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// The answer comes this many milliseconds late.
    Latency { ms: u64 },
    /// 429. `retry_after` in seconds adds the header, which Square does not promise.
    RateLimited {
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// 500 to 599 with the provider's error body.
    ServerError { status: u16 },
    /// The connection closes after so many bytes of the body.
    DropConnection { after_bytes: usize },
    /// The body trickles: a chunk, a pause, a chunk.
    SlowBody { chunk_bytes: usize, pause_ms: u64 },
    /// 401: the token has expired.
    ExpiredToken,
    /// 401: the token was revoked.
    RevokedToken,
    /// 403: the token lacks a scope.
    InsufficientScopes,
    /// 200 with a body that is not JSON although its content type says so.
    MalformedJson,
    /// 200, a complete HTTP answer, its JSON cut in the middle.
    TruncatedBody,
    /// The last page is repeated for ever. `fresh`: with a different cursor each time.
    EndlessCursor {
        #[serde(default)]
        fresh: bool,
    },
    /// 200 with a page of HTML, as a proxy in between would answer.
    WrongContentType,
    /// Each page begins with the last three rows of the page before.
    DuplicateItems,
    /// The request is processed, then its answer comes so many milliseconds late.
    LateAnswer { ms: u64 },
    /// The request is processed, then the connection closes without a byte of an answer.
    LostAnswer,
    /// 302 to another address; the request is not processed.
    Redirect { to: String },
    /// A field `padding` of so many bytes is added to the JSON object of the answer.
    HugeBody { bytes: usize },
    /// A field of the answer's JSON object gets another value.
    SetField { name: String, value: Value },
    /// A field of the answer's JSON object is missing.
    RemoveField { name: String },
    /// A key of the answer's JSON object comes a second time, with this value.
    RepeatField { name: String, value: Value },
    /// The limit is reached, for the reason that the provider names so (Google answers 403
    /// with `userRateLimitExceeded` and others; elsewhere as `rate_limited`).
    QuotaExceeded { reason: String },
    /// The token endpoint hands out tokens without looking at PKCE.
    IgnorePkce,
    /// The token endpoint grants one scope less than the person agreed to.
    FewerScopes,
}

impl Effect {
    /// As the request log and the control API name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::RateLimited { .. } => "rate_limited",
            Self::ServerError { .. } => "server_error",
            Self::DropConnection { .. } => "drop_connection",
            Self::SlowBody { .. } => "slow_body",
            Self::ExpiredToken => "expired_token",
            Self::RevokedToken => "revoked_token",
            Self::InsufficientScopes => "insufficient_scopes",
            Self::MalformedJson => "malformed_json",
            Self::TruncatedBody => "truncated_body",
            Self::EndlessCursor { .. } => "endless_cursor",
            Self::WrongContentType => "wrong_content_type",
            Self::DuplicateItems => "duplicate_items",
            Self::LateAnswer { .. } => "late_answer",
            Self::LostAnswer => "lost_answer",
            Self::Redirect { .. } => "redirect",
            Self::HugeBody { .. } => "huge_body",
            Self::SetField { .. } => "set_field",
            Self::RemoveField { .. } => "remove_field",
            Self::RepeatField { .. } => "repeat_field",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::IgnorePkce => "ignore_pkce",
            Self::FewerScopes => "fewer_scopes",
        }
    }
}
