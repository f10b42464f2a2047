//! Reads that are made again after a fault of the provider's or a refusal for haste,
//! within the few seconds of a back-off. Only for calls that change nothing abroad.

use std::time::Duration;

use patchbay_core::outbound::{OutboundError, OutboundRequest, OutboundResponse, StatusCode};

use crate::session::Session;

/// Repeats of a read after a fault on the provider's side, before the job protocol waits longer.
const FAULT_REPEATS: u32 = 2;

impl Session {
    /// Sends a read until an answer comes that is worth reading. `is_hasty` says which
    /// answers besides 429 mean "too many calls".
    ///
    /// # Errors
    /// No complete answer came.
    pub async fn read(
        &self,
        request: OutboundRequest,
        is_hasty: fn(&OutboundResponse) -> bool,
    ) -> Result<OutboundResponse, OutboundError> {
        let (mut faults, mut refusals) = (0, 0);
        loop {
            let outcome = self.send(request.clone()).await;
            match self.pause(&outcome, is_hasty, &mut faults, &mut refusals) {
                Some(pause) => {
                    tracing::debug!(path = request.url.path(), ?pause, "asked again");
                    tokio::time::sleep(pause).await;
                }
                None => return outcome,
            }
        }
    }

    /// How long to wait before the same call is made again; `None`: it is not.
    fn pause(
        &self,
        outcome: &Result<OutboundResponse, OutboundError>,
        is_hasty: fn(&OutboundResponse) -> bool,
        faults: &mut u32,
        refusals: &mut u32,
    ) -> Option<Duration> {
        match outcome {
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS || is_hasty(answer) => {
                *refusals += 1;
                self.backoff
                    .wait(*refusals - 1, answer.retry_after(self.now()))
            }
            Ok(answer) if !answer.status.is_server_error() => None,
            // It has cost its whole deadline already: the job tries again later.
            Err(OutboundError::Timeout { .. }) => None,
            Err(error) if !error.is_transient() => None,
            Ok(_) | Err(_) => {
                *faults += 1;
                if *faults > FAULT_REPEATS {
                    None
                } else {
                    self.backoff.wait(*faults - 1, None)
                }
            }
        }
    }
}

/// For providers that say "too many calls" by 429 alone.
pub(crate) fn only_429(_: &OutboundResponse) -> bool {
    false
}
