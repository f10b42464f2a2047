//! One call under the circuit breaker of its host.

use super::{Origin, OutboundError, OutboundResponse, Subject};
use crate::breaker::Breakers;

/// Makes the call, unless the host is left alone; then nothing is sent. What came of a call
/// that was made is told as it is: only its caller knows whether it may be made again.
pub(super) async fn send(
    breakers: &Breakers,
    subject: &Subject,
    origin: &Origin,
    call: impl Future<Output = Result<OutboundResponse, OutboundError>>,
) -> Result<OutboundResponse, OutboundError> {
    let pass = breakers
        .enter(&subject.provider, &origin.to_string(), subject.exempt)
        .await
        .map_err(|held| OutboundError::Paused {
            label: subject.label.clone(),
            held,
        })?;
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
        Err(_) => {}
    }
    outcome
}
