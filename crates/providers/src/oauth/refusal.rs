//! What a token endpoint's answer means for the one who asked: whether the grant is
//! lost, our app is set up wrongly, or nothing is known. Words of the provider are
//! repeated without what we sent it.

use std::time::Duration;

use patchbay_core::{
    failure::FailureKind,
    outbound::{OutboundError, OutboundResponse},
    secret::Secret,
};
use serde_json::Value;

use super::{
    place::OauthPlace,
    strict::{self, NotStrict},
};
use crate::error::ProviderError;

/// Longest text of the provider's that is repeated, in characters.
const LONGEST_WORDS: usize = 300;

/// Why no grant came. The variant says what may be done next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The provider refused for good: `invalid_grant` and its like.
    #[error("{0}")]
    Refused(ProviderError),
    /// Our client, redirect URI or request is wrong: an operator must mend it, and the
    /// grant itself is not judged (`invalid_client`, a blocked address, no secret).
    #[error("{0}")]
    Misconfigured(ProviderError),
    /// Nothing was sent, or it was refused for now (429, 500, 503, no connection): a refresh
    /// may be repeated.
    #[error("{error}")]
    Later {
        /// What happened.
        error: ProviderError,
        /// The pause the provider asked for.
        after: Option<Duration>,
        /// Certainly nothing came of it: it did not go out, or was turned away before any work
        /// (429, RFC 6585 section 4). What works once may then be sent once more. No other
        /// status says that: a 500 or 503 may come after the code was used up (RFC 9110
        /// sections 15.6.1 and 15.6.4 promise nothing).
        untouched: bool,
    },
    /// Sent, and no usable answer (a time-out, a broken connection, a gateway's 502 or
    /// 504, a malformed answer): the provider may have used the code, or replaced the
    /// refresh token.
    #[error("{0}")]
    Unknown(ProviderError),
}

impl TokenError {
    /// What happened, in words.
    #[must_use]
    pub fn error(&self) -> &ProviderError {
        match self {
            Self::Refused(error)
            | Self::Misconfigured(error)
            | Self::Later { error, .. }
            | Self::Unknown(error) => error,
        }
    }

    /// The same, given away.
    #[must_use]
    pub fn into_error(self) -> ProviderError {
        match self {
            Self::Refused(error)
            | Self::Misconfigured(error)
            | Self::Later { error, .. }
            | Self::Unknown(error) => error,
        }
    }

    pub(super) fn unset(place: &OauthPlace, what: &str) -> Self {
        Self::Misconfigured(ProviderError::new(
            FailureKind::Internal,
            format!("The OAuth client of {} has no {what}.", place.label),
            set_up(place),
        ))
    }

    pub(super) fn malformed(place: &OauthPlace, what: &str) -> Self {
        Self::Unknown(ProviderError::protocol(format!(
            "The answer of {}'s token endpoint {what}.",
            place.label
        )))
    }
}

impl From<OutboundError> for TokenError {
    fn from(error: OutboundError) -> Self {
        let is_unsent = error.is_unsent();
        let is_ours = match &error {
            OutboundError::Blocked { .. }
            | OutboundError::ForeignHost { .. }
            | OutboundError::Malformed(_)
            | OutboundError::Setup(_) => true,
            OutboundError::Timeout { .. }
            | OutboundError::TooLarge { .. }
            | OutboundError::Dns { .. }
            | OutboundError::Paused { .. }
            | OutboundError::Connect { .. }
            | OutboundError::Tls { .. }
            | OutboundError::Broken { .. } => false,
        };
        let error = ProviderError::from(error);
        match (is_ours, is_unsent) {
            (true, _) => Self::Misconfigured(error),
            (false, true) => {
                let after = error.retry_after;
                Self::Later {
                    error,
                    after,
                    untouched: true,
                }
            }
            (false, false) => Self::Unknown(error),
        }
    }
}

/// What an endpoint said in place of a grant.
struct Said {
    code: Option<String>,
    detail: Option<String>,
}

/// What a code says about the grant.
enum Verdict {
    Refused,
    Misconfigured,
    Later,
}

/// Reads an answer: the object of a success, or why it is none. `sent` are the secrets
/// that may not be repeated in words.
pub(super) fn judge(
    place: &OauthPlace,
    answer: &OutboundResponse,
    now: chrono::DateTime<chrono::Utc>,
    sent: &[&Secret],
) -> Result<Value, TokenError> {
    let status = answer.status.as_u16();
    let after = answer.retry_after(now);
    match status {
        200..=299 => {}
        429 => return Err(later(place, FailureKind::RateLimited, status, after)),
        // A gateway that got no answer in time does not know what was done behind it.
        502 | 504 => {
            let words = format!("A gateway of {} answered with {status}.", place.label);
            return Err(TokenError::Unknown(down(words)));
        }
        408 | 500..=599 => {
            return Err(later(place, FailureKind::ProviderDown, status, after));
        }
        300..=399 => {
            let what = format!("is a redirect ({status}), which is not followed");
            return Err(TokenError::malformed(place, &what));
        }
        _ => {}
    }
    let object = strict::read(&answer.body);
    if !answer.status.is_success() {
        return match object.ok().as_ref().map(said) {
            Some(said) if said.code.is_some() => Err(refusal(place, status, said, after, sent)),
            _ => Err(TokenError::malformed(
                place,
                &format!("is a refusal ({status}) without a reason"),
            )),
        };
    }
    let object = match object {
        Ok(value @ Value::Object(_)) => value,
        Ok(_) => return Err(TokenError::malformed(place, "is no JSON object")),
        Err(NotStrict::NotJson) => return Err(TokenError::malformed(place, "is no JSON")),
        Err(NotStrict::Doubled) => {
            return Err(TokenError::malformed(place, "says something twice"));
        }
    };
    let is_success = match &place.rules.ok_field {
        Some(field) => object.get(field).and_then(Value::as_bool),
        None => Some(object.get("error").is_none_or(Value::is_null)),
    };
    match is_success {
        Some(true) => Ok(object),
        Some(false) => Err(refusal(place, status, said(&object), after, sent)),
        None => Err(TokenError::malformed(
            place,
            "does not say whether it is a success",
        )),
    }
}

/// A code of an answer, whatever its status, for a revocation that finds nothing left.
pub(super) fn code(answer: &OutboundResponse) -> Option<String> {
    said(&strict::read(&answer.body).ok()?).code
}

fn refusal(
    place: &OauthPlace,
    status: u16,
    said: Said,
    after: Option<Duration>,
    sent: &[&Secret],
) -> TokenError {
    let code = said.code.filter(|code| is_code(code));
    let detail = said
        .detail
        .map(|detail| format!(" ({})", repeatable(&detail, sent)))
        .unwrap_or_default();
    let named = code.as_deref().unwrap_or("a refusal without a code");
    let words = format!("{} answered with {status}, {named}{detail}.", place.label);
    let verdict = code
        .as_deref()
        .map_or(Verdict::Misconfigured, |code| verdict(place, code));
    let make = |kind, action: String| {
        let mut error = ProviderError::new(kind, words.clone(), action);
        error.code.clone_from(&code);
        error
    };
    match verdict {
        Verdict::Refused => {
            TokenError::Refused(make(FailureKind::Auth, "Connect the account again.".into()))
        }
        Verdict::Misconfigured => {
            TokenError::Misconfigured(make(FailureKind::Internal, set_up(place)))
        }
        Verdict::Later => {
            let mut error = make(FailureKind::RateLimited, IT_GOES_ON.into());
            error.retry_after = after;
            TokenError::Later {
                error,
                after,
                untouched: false,
            }
        }
    }
}

const IT_GOES_ON: &str = "Nothing: it is tried again by itself.";

fn verdict(place: &OauthPlace, code: &str) -> Verdict {
    let rules = &place.rules;
    let lists = |list: &[String]| list.iter().any(|one| one == code);
    if lists(&rules.refused) {
        return Verdict::Refused;
    }
    if lists(&rules.misconfigured) {
        return Verdict::Misconfigured;
    }
    if lists(&rules.later) {
        return Verdict::Later;
    }
    match code {
        // RFC 6749, sections 5.2 and 4.1.2.1.
        "invalid_grant" | "access_denied" => Verdict::Refused,
        "temporarily_unavailable" | "server_error" | "slow_down" => Verdict::Later,
        // `invalid_client`, `invalid_request`, ..., and what nobody has told us of: taken
        // for a fault of ours, it breaks no connection.
        _ => Verdict::Misconfigured,
    }
}

/// Finds code and detail in the shapes that providers use.
fn said(object: &Value) -> Said {
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(String::from);
    if let Some(first) = object.get("errors").and_then(|errors| errors.get(0)) {
        // Square.
        return Said {
            code: text(first, "code"),
            detail: text(first, "detail"),
        };
    }
    if let Some(code) = text(object, "error") {
        // RFC 6749 section 5.2; Google's `error_subtype` says what exactly is wrong.
        let parts = [
            text(object, "error_subtype"),
            text(object, "error_description"),
        ];
        let detail: Vec<String> = parts.into_iter().flatten().collect();
        return Said {
            code: Some(code),
            detail: (!detail.is_empty()).then(|| detail.join(": ")),
        };
    }
    // Square's older form: <https://github.com/square/connect-ruby-sdk/issues/73>.
    Said {
        code: text(object, "type"),
        detail: text(object, "message").or_else(|| text(object, "errors")),
    }
}

fn later(
    place: &OauthPlace,
    kind: FailureKind,
    status: u16,
    after: Option<Duration>,
) -> TokenError {
    let words = format!("{} answered with {status}.", place.label);
    let mut error = ProviderError::new(kind, words, IT_GOES_ON);
    error.retry_after = after;
    TokenError::Later {
        error,
        after,
        untouched: status == 429,
    }
}

fn down(words: String) -> ProviderError {
    ProviderError::new(
        FailureKind::ProviderDown,
        words,
        "Look at the provider's status page if it lasts.",
    )
}

fn set_up(place: &OauthPlace) -> String {
    format!(
        "An operator must correct the OAuth client of {} (id, secret, redirect URI, scopes): see {}.",
        place.label, place.rules.setup
    )
}

/// Codes are names; anything else is not repeated as one.
fn is_code(code: &str) -> bool {
    !code.is_empty()
        && code.len() <= 100
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte))
}

/// Words of the provider without control characters, without what we sent, cut to length.
fn repeatable(words: &str, sent: &[&Secret]) -> String {
    let mut words: String = words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    for secret in sent.iter().filter(|secret| !secret.expose().is_empty()) {
        words = words.replace(secret.expose(), "••••");
    }
    if words.chars().count() > LONGEST_WORDS {
        words = words.chars().take(LONGEST_WORDS).collect();
        words.push('…');
    }
    words
}
