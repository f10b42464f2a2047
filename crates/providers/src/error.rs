//! Why a provider did not do what it was asked, and what the job protocol makes of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{
    failure::{Failure, FailureKind, NextAction},
    job::{JobError, Next},
    outbound::{HostSaid, OutboundError},
};

/// Wait when a provider says "too many" without saying for how long.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(60);

/// Longest wait a provider can impose with one answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// A provider's refusal or fault, in words a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// The class.
    pub kind: FailureKind,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub action: String,
    /// The provider's own code.
    pub code: Option<String>,
    /// The provider asked for this pause.
    pub retry_after: Option<Duration>,
    /// It no longer knows the place where the run stood: the run can begin anew.
    pub place_forgotten: bool,
    /// JSON pointer to the field that has to be corrected (`/config/location_ids`).
    pub field: Option<String>,
    /// Its host is left alone until `retry_after` has passed, so nothing was sent.
    pub paused: bool,
    /// It gave no answer that can be used, by its own fault or that of the way to it.
    pub host_is_down: bool,
}

impl ProviderError {
    /// An error with its class, its words and the next step.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            action: action.into(),
            code: None,
            retry_after: None,
            place_forgotten: false,
            field: None,
            paused: false,
            host_is_down: false,
        }
    }

    /// With the provider's own code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// With the field that has to be corrected: a JSON pointer.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>) -> Self {
        self.field = Some(pointer.into());
        self
    }

    /// An answer that breaks the provider's own contract.
    #[must_use]
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(
            FailureKind::Protocol,
            message,
            "If it stays, the provider has changed its API or a proxy rewrites its answers.",
        )
    }

    /// A request that is wrong before it is sent.
    #[must_use]
    pub fn invalid(message: impl Into<String>, action: impl Into<String>) -> Self {
        Self::new(FailureKind::Invalid, message, action)
    }

    /// What it says of the host in a dialogue that is not HTTP, where every refusal has a code.
    #[must_use]
    pub fn host_said(&self) -> HostSaid {
        match (self.host_is_down, &self.code) {
            (true, _) => HostSaid::Nothing(self.message.clone()),
            (false, Some(_)) => HostSaid::Answer,
            (false, None) => HostSaid::Unasked,
        }
    }

    /// What is stored and shown.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure {
            code: self.code.clone(),
            next_action: self.field.clone().map(NextAction::fix),
            ..Failure::new(self.kind, &self.message, &self.action)
        }
    }

    /// The same, and until when the provider asked to be left alone.
    #[must_use]
    pub fn failure_at(&self, now: DateTime<Utc>) -> Failure {
        let mut failure = self.failure();
        if let Some(pause) = self.pause() {
            failure.next_action = Some(NextAction::wait_until(now + pause));
        }
        failure
    }

    /// How long the provider asked to be left alone: a minute where it says "too many" and
    /// no time, a day at most.
    #[must_use]
    pub fn pause(&self) -> Option<TimeDelta> {
        let too_many = self.kind == FailureKind::RateLimited;
        let pause = self.retry_after.or(too_many.then_some(RATE_LIMIT_PAUSE))?;
        Some(TimeDelta::from_std(pause.min(LONGEST_PAUSE)).expect("at most a day"))
    }

    /// What the job that met it does next. `credential_version` is the one it used.
    #[must_use]
    pub fn into_job_error(self, now: DateTime<Utc>, credential_version: Option<i64>) -> JobError {
        let next = match self.kind {
            // No fault of the job, and it would be asked in vain: it costs no attempt.
            FailureKind::ProviderDown if self.paused => Next::Snooze {
                until: now + self.pause().unwrap_or_default(),
            },
            FailureKind::Auth => Next::Park { credential_version },
            // "Later" is no fault of the job: it costs no attempt.
            FailureKind::RateLimited => Next::Snooze {
                until: now + self.pause().unwrap_or_default(),
            },
            FailureKind::ProviderDown
            | FailureKind::Timeout
            | FailureKind::Protocol
            | FailureKind::Crash => Next::Retry {
                after: self.retry_after.map(|pause| pause.min(LONGEST_PAUSE)),
            },
            FailureKind::Scope
            | FailureKind::NotFound
            | FailureKind::Invalid
            | FailureKind::Conflict
            | FailureKind::UnknownOutcome
            | FailureKind::Blocked
            | FailureKind::Deadline
            | FailureKind::Internal => Next::Fail,
        };
        JobError {
            next,
            failure: self.failure_at(now),
        }
    }
}

impl From<OutboundError> for ProviderError {
    fn from(error: OutboundError) -> Self {
        const IF_IT_LASTS: &str = "Look at the provider's status page if it lasts.";
        let (kind, action) = match &error {
            OutboundError::Paused { held, .. } => {
                let words = "Nothing: it goes on by itself when the provider answers. Look at the provider's status page if it lasts.";
                let mut paused = Self::new(FailureKind::ProviderDown, format!("{error}."), words);
                paused.retry_after = Some(held.after);
                paused.paused = true;
                return paused;
            }
            OutboundError::Blocked { .. } => (
                FailureKind::Blocked,
                "Correct the address, or let the operator allow its subnet or host in the outbound settings.",
            ),
            OutboundError::ForeignHost { .. }
            | OutboundError::Malformed(_)
            | OutboundError::Setup(_) => (
                FailureKind::Internal,
                "This is a defect of ours or of the settings: report it with the job's id.",
            ),
            OutboundError::Timeout { .. } => (FailureKind::Timeout, IF_IT_LASTS),
            OutboundError::TooLarge { .. } => (
                FailureKind::Protocol,
                "The provider sends more than its page limits allow: report it with the job's id.",
            ),
            OutboundError::Dns { .. }
            | OutboundError::Connect { .. }
            | OutboundError::Broken { .. } => (FailureKind::ProviderDown, IF_IT_LASTS),
            OutboundError::Tls { .. } => (
                FailureKind::ProviderDown,
                "Check this machine's clock and trust anchors, and whether a proxy intercepts TLS.",
            ),
        };
        let mut said = Self::new(kind, error.to_string(), action);
        said.host_is_down = error.is_the_hosts();
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(kind: FailureKind, retry_after: Option<Duration>) -> Next {
        let mut error = ProviderError::new(kind, "what", "do").code("X");
        error.retry_after = retry_after;
        let job = error.clone().into_job_error(DateTime::UNIX_EPOCH, Some(3));
        assert_eq!(job.failure, error.failure_at(DateTime::UNIX_EPOCH));
        assert_eq!(job.failure.code.as_deref(), Some("X"));
        job.next
    }

    #[test]
    fn the_kind_decides_what_the_job_does_next() {
        let soon = Some(Duration::from_secs(7));
        let until = |seconds| Next::Snooze {
            until: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds),
        };
        assert_eq!(
            next(FailureKind::Auth, None),
            Next::Park {
                credential_version: Some(3)
            }
        );
        assert_eq!(next(FailureKind::RateLimited, None), until(60));
        assert_eq!(next(FailureKind::RateLimited, soon), until(7));
        assert_eq!(
            next(FailureKind::RateLimited, Some(Duration::MAX)),
            until(24 * 3600)
        );
        for kind in [
            FailureKind::ProviderDown,
            FailureKind::Timeout,
            FailureKind::Protocol,
        ] {
            assert_eq!(next(kind, None), Next::Retry { after: None });
            assert_eq!(next(kind, soon), Next::Retry { after: soon });
        }
        for kind in [
            FailureKind::Scope,
            FailureKind::NotFound,
            FailureKind::Invalid,
            FailureKind::UnknownOutcome,
        ] {
            assert_eq!(next(kind, soon), Next::Fail);
        }
    }
}
