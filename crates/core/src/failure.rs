//! One failure that a person can act on: what happened, what it means, what to do.

use chrono::{DateTime, Utc};
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
    /// The provider holds another version of the object, or it is in a state that refuses this.
    Conflict,
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
    /// Every class. The health log's compact form counts places in this list, so a new
    /// class goes to its end.
    pub const ALL: [Self; 14] = [
        Self::Auth,
        Self::Scope,
        Self::RateLimited,
        Self::NotFound,
        Self::Invalid,
        Self::ProviderDown,
        Self::Timeout,
        Self::Protocol,
        Self::Conflict,
        Self::UnknownOutcome,
        Self::Blocked,
        Self::Deadline,
        Self::Crash,
        Self::Internal,
    ];

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
            Self::Conflict => "conflict",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Blocked => "blocked",
            Self::Deadline => "deadline",
            Self::Crash => "crash",
            Self::Internal => "internal",
        }
    }

    /// What a person does about it: the one place that says so. `opening` is how the
    /// provider's accounts are opened, where the failure is about one.
    #[must_use]
    pub fn next_action(self, opening: Option<Opening>) -> NextActionKind {
        match (self, opening) {
            (Self::Auth | Self::Scope, Some(Opening::Consent)) => NextActionKind::Reconnect,
            (Self::Auth | Self::Scope, Some(Opening::Credential) | None) => {
                NextActionKind::SetCredential
            }
            // These pass by themselves, and what was asked for is tried again by itself.
            (Self::RateLimited | Self::ProviderDown | Self::Timeout, _) => {
                NextActionKind::WaitUntil
            }
            (Self::NotFound | Self::Invalid, _) => NextActionKind::FixField,
            // Only the provider knows what it meant, or whether it did it.
            (Self::Protocol | Self::UnknownOutcome, _) => NextActionKind::ContactProvider,
            (Self::Conflict | Self::Deadline, _) => NextActionKind::Retry,
            (Self::Blocked | Self::Crash | Self::Internal, _) => NextActionKind::ContactOperator,
        }
    }
}

/// How accounts of a provider are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opening {
    /// A person consents in the provider's own page.
    Consent,
    /// A person hands over a credential made at the provider.
    Credential,
}

/// Kinds of next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextActionKind {
    /// Give the consent once more.
    Reconnect,
    /// Set another credential.
    SetCredential,
    /// Nothing before `until`: it is tried again by itself.
    WaitUntil,
    /// Correct `field`, or what was asked for.
    FixField,
    /// Look at the account at the provider, or ask its support.
    ContactProvider,
    /// Ask for the work again.
    Retry,
    /// Whoever runs Patchbay has to look.
    ContactOperator,
    /// Nothing to do.
    None,
}

impl NextActionKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Reconnect,
        Self::SetCredential,
        Self::WaitUntil,
        Self::FixField,
        Self::ContactProvider,
        Self::Retry,
        Self::ContactOperator,
        Self::None,
    ];

    /// The name used in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reconnect => "reconnect",
            Self::SetCredential => "set_credential",
            Self::WaitUntil => "wait_until",
            Self::FixField => "fix_field",
            Self::ContactProvider => "contact_provider",
            Self::Retry => "retry",
            Self::ContactOperator => "contact_operator",
            Self::None => "none",
        }
    }
}

/// What a person does next, for machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextAction {
    /// The kind.
    pub kind: NextActionKind,
    /// Of `wait_until`: until when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Of `fix_field`: JSON pointer to the field (`/config/location_ids`), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl NextAction {
    /// An action that needs no more words.
    #[must_use]
    pub fn of(kind: NextActionKind) -> Self {
        Self {
            kind,
            until: None,
            field: None,
        }
    }

    /// Nothing before this time.
    #[must_use]
    pub fn wait_until(until: DateTime<Utc>) -> Self {
        Self {
            until: Some(until),
            ..Self::of(NextActionKind::WaitUntil)
        }
    }

    /// Correct this field: a JSON pointer.
    #[must_use]
    pub fn fix(field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::of(NextActionKind::FixField)
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
    /// What to do about it, for machines, where more is known than the class says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextAction>,
    /// What a business notices while it lasts, as the provider's manifest says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<String>,
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
            next_action: None,
            impact: None,
        }
    }

    /// With what is known of the provider it happened with. What is said already stays.
    #[must_use]
    pub fn explained(mut self, opening: Opening, impact: &str) -> Self {
        let next_action = || NextAction::of(self.kind.next_action(Some(opening)));
        self.next_action = Some(self.next_action.take().unwrap_or_else(next_action));
        self.impact.get_or_insert_with(|| impact.to_owned());
        self
    }

    /// What to do about it, for machines.
    #[must_use]
    pub fn what_next(&self) -> NextAction {
        let by_class = || NextAction::of(self.kind.next_action(None));
        self.next_action.clone().unwrap_or_else(by_class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_next_action() {
        use FailureKind as K;
        use NextActionKind as A;
        // Class; by consent; by credential; where no account is concerned.
        let table = [
            (K::Auth, A::Reconnect, A::SetCredential, A::SetCredential),
            (K::Scope, A::Reconnect, A::SetCredential, A::SetCredential),
            (K::RateLimited, A::WaitUntil, A::WaitUntil, A::WaitUntil),
            (K::NotFound, A::FixField, A::FixField, A::FixField),
            (K::Invalid, A::FixField, A::FixField, A::FixField),
            (K::ProviderDown, A::WaitUntil, A::WaitUntil, A::WaitUntil),
            (K::Timeout, A::WaitUntil, A::WaitUntil, A::WaitUntil),
            (
                K::Protocol,
                A::ContactProvider,
                A::ContactProvider,
                A::ContactProvider,
            ),
            (K::Conflict, A::Retry, A::Retry, A::Retry),
            (
                K::UnknownOutcome,
                A::ContactProvider,
                A::ContactProvider,
                A::ContactProvider,
            ),
            (
                K::Blocked,
                A::ContactOperator,
                A::ContactOperator,
                A::ContactOperator,
            ),
            (K::Deadline, A::Retry, A::Retry, A::Retry),
            (
                K::Crash,
                A::ContactOperator,
                A::ContactOperator,
                A::ContactOperator,
            ),
            (
                K::Internal,
                A::ContactOperator,
                A::ContactOperator,
                A::ContactOperator,
            ),
        ];
        assert_eq!(table.map(|row| row.0), FailureKind::ALL);
        for (kind, consent, credential, no_account) in table {
            assert_eq!(kind.next_action(Some(Opening::Consent)), consent);
            assert_eq!(kind.next_action(Some(Opening::Credential)), credential);
            assert_eq!(kind.next_action(None), no_account);
        }
    }

    #[test]
    fn what_is_known_better_than_by_the_class_stays() {
        let mut failure = Failure::new(FailureKind::Invalid, "what", "do");
        failure.next_action = Some(NextAction::fix("/config/port"));
        let explained = failure.explained(Opening::Consent, "E-mails are not sent.");
        assert_eq!(explained.what_next(), NextAction::fix("/config/port"));
        assert_eq!(explained.impact.as_deref(), Some("E-mails are not sent."));
        let again = explained.clone().explained(Opening::Consent, "Other words");
        assert_eq!(again, explained);
    }

    #[test]
    fn a_failure_stored_by_an_older_version_is_read() {
        let stored = serde_json::json!({ "kind": "auth", "message": "what", "action": "do" });
        let failure: Failure = serde_json::from_value(stored).unwrap();
        assert_eq!(failure.what_next().kind, NextActionKind::SetCredential);
    }

    #[test]
    fn names_are_those_of_the_stored_form() {
        for kind in FailureKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for kind in NextActionKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
