//! One call, or one dialogue that is not HTTP, under the circuit breaker of its host.

use std::time::Duration;

use super::{Origin, Outbound, OutboundError, OutboundResponse, Subject};
use crate::breaker::{Breakers, Caller, Pass};

/// What the failure of a dialogue says of its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostSaid {
    /// It answered; what it refused is not its fault.
    Answer,
    /// Nothing that could be used, by its own fault or that of the way to it.
    Nothing(String),
    /// It was not asked, or what went wrong says nothing of it.
    Unasked,
}

impl Outbound {
    /// Runs a dialogue with `origin` that is not HTTP and has ended after `limit`, unless the
    /// host is left alone; then nothing is sent. `judge` says what a failure means for the host.
    ///
    /// # Errors
    /// [`OutboundError::Paused`], or what the dialogue failed with.
    pub async fn guarded<T, E: From<OutboundError>>(
        &self,
        subject: &Subject,
        origin: &Origin,
        limit: Duration,
        dialogue: impl Future<Output = Result<T, E>>,
        judge: impl FnOnce(&E) -> HostSaid,
    ) -> Result<T, E> {
        let Some(breakers) = &self.breakers else {
            return dialogue.await;
        };
        let pass = enter(breakers, subject, origin, limit).await?;
        let outcome = dialogue.await;
        match outcome.as_ref().map_err(judge) {
            Ok(_) | Err(HostSaid::Answer) => breakers.passed(&pass).await,
            Err(HostSaid::Nothing(reason)) => breakers.failed(&pass, &reason).await,
            Err(HostSaid::Unasked) => breakers.unasked(&pass).await,
        }
        outcome
    }
}

async fn enter(
    breakers: &Breakers,
    subject: &Subject,
    origin: &Origin,
    limit: Duration,
) -> Result<Pass, OutboundError> {
    let caller = if subject.exempt {
        Caller::Exempt
    } else {
        Caller::Within(limit)
    };
    breakers
        .enter(&subject.provider, &origin.to_string(), caller)
        .await
        .map_err(|held| OutboundError::Paused {
            label: subject.label.clone(),
            held,
        })
}

/// Makes the call, which has ended after `limit`, unless the host is left alone; then nothing
/// is sent. What came of a call that was made is told as it is: only its caller knows whether
/// it may be made again.
pub(super) async fn send(
    breakers: &Breakers,
    subject: &Subject,
    origin: &Origin,
    limit: Duration,
    call: impl Future<Output = Result<OutboundResponse, OutboundError>>,
) -> Result<OutboundResponse, OutboundError> {
    let pass = enter(breakers, subject, origin, limit).await?;
    let outcome = call.await;
    match &outcome {
        // Its own fault; 4xx, also 429, are answers.
        Ok(answer) if answer.status.is_server_error() => {
            let reason = format!("it answers {}", answer.status.as_u16());
            breakers.failed(&pass, &reason).await;
        }
        Ok(_) => breakers.passed(&pass).await,
        Err(error) if error.is_the_hosts() => breakers.failed(&pass, &error.to_string()).await,
        // The request never went out, or an answer came that we would not take whole.
        Err(_) => breakers.unasked(&pass).await,
    }
    outcome
}
