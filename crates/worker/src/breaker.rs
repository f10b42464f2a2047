//! What an open circuit breaker means for jobs. The calls themselves are held back in
//! `patchbay_core::outbound`.

use patchbay_core::job::{JobError, JobKind, Next};
use patchbay_providers::Session;

/// Whether jobs of this kind may call a host that is left alone: checks, and a person's
/// test, so that its recovery is seen as soon as it is there; and a consent, whose code is
/// used up by then. Of the clock's checks `crate::silence` lets only a few be made.
pub(crate) fn is_exempt(kind: JobKind) -> bool {
    match kind {
        JobKind::HealthCheck
        | JobKind::HealthBatch
        | JobKind::ConnectionTest
        | JobKind::ConsentExchange => true,
        JobKind::Sync
        | JobKind::Action
        | JobKind::CredentialRefresh
        | JobKind::CredentialRevoke
        | JobKind::OauthClientSet
        | JobKind::AlertWebhookSet
        | JobKind::AlertDelivery
        | JobKind::Noop => false,
    }
}

/// An error whose retry would find the host left alone costs no attempt: the calls that
/// opened the breaker, those that were under way, and the probe itself.
pub(crate) fn spare(session: &Session, error: JobError) -> JobError {
    if session.subject.exempt || !matches!(error.next, Next::Retry { .. }) {
        return error;
    }
    let held = session.outbound.breakers().and_then(|breakers| {
        let origin = session.host()?;
        breakers.held(&session.subject.provider, &origin.to_string())
    });
    let Some(held) = held else { return error };
    let mut failure = error.failure;
    failure.message = format!(
        "{} {} does not answer since {} UTC; it is tried again at {} UTC.",
        failure.message,
        session.subject.label,
        held.since.format("%Y-%m-%d %H:%M:%S"),
        held.until.format("%H:%M:%S"),
    );
    let until = session.now() + chrono::TimeDelta::from_std(held.after).unwrap_or_default();
    JobError {
        next: Next::Snooze { until },
        failure,
    }
}
