//! One call, or one dialogue that is not HTTP, under the circuit breaker of its host.

use std::{sync::Arc, time::Duration};

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
        let call = Call::enter(breakers, subject, origin, limit).await?;
        let outcome = dialogue.await;
        let said = match outcome.as_ref().map_err(judge) {
            Ok(_) => HostSaid::Answer,
            Err(said) => said,
        };
        call.heard(said).await;
        outcome
    }
}

/// A call that went out. One that ends without a word, because its job was stopped, gives the
/// probe back that it may have been.
struct Call {
    breakers: Arc<Breakers>,
    pass: Pass,
    is_heard: bool,
}

impl Call {
    async fn enter(
        breakers: &Arc<Breakers>,
        subject: &Subject,
        origin: &Origin,
        limit: Duration,
    ) -> Result<Self, OutboundError> {
        let caller = if subject.exempt {
            Caller::Exempt
        } else {
            Caller::Within(limit)
        };
        let origin = origin.to_string();
        let entered = breakers.enter(&subject.provider, &origin, caller).await;
        let pass = entered.map_err(|held| OutboundError::Paused {
            label: subject.label.clone(),
            held,
        })?;
        Ok(Self {
            breakers: Arc::clone(breakers),
            pass,
            is_heard: false,
        })
    }

    async fn heard(mut self, said: HostSaid) {
        self.is_heard = true;
        match said {
            HostSaid::Answer => self.breakers.passed(&self.pass).await,
            HostSaid::Nothing(reason) => self.breakers.failed(&self.pass, &reason).await,
            HostSaid::Unasked => self.breakers.unasked(&self.pass).await,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_heard || !self.pass.is_probe() {
            return;
        }
        // Without a runtime the process ends, and the probe's time runs out.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (breakers, pass) = (Arc::clone(&self.breakers), self.pass.clone());
            runtime.spawn(async move { breakers.unasked(&pass).await });
        }
    }
}

/// Makes the call, which has ended after `limit`, unless the host is left alone; then nothing
/// is sent. What came of a call that was made is told as it is: only its caller knows whether
/// it may be made again.
pub(super) async fn send(
    breakers: &Arc<Breakers>,
    subject: &Subject,
    origin: &Origin,
    limit: Duration,
    call: impl Future<Output = Result<OutboundResponse, OutboundError>>,
) -> Result<OutboundResponse, OutboundError> {
    let entered = Call::enter(breakers, subject, origin, limit).await?;
    let outcome = call.await;
    let said = match &outcome {
        // Its own fault; 4xx, also 429, are answers.
        Ok(answer) if answer.status.is_server_error() => {
            HostSaid::Nothing(format!("it answers {}", answer.status.as_u16()))
        }
        Ok(_) => HostSaid::Answer,
        Err(error) if error.is_the_hosts() => HostSaid::Nothing(error.to_string()),
        // The request never went out, or an answer came that we would not take whole.
        Err(_) => HostSaid::Unasked,
    };
    entered.heard(said).await;
    outcome
}
