//! Trying again, later each time: for servers that are not there yet.

use std::{fmt::Display, future::Future, time::Duration};

use tokio_util::sync::CancellationToken;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// The waits between tries: doubling up to ten seconds.
#[derive(Debug, Clone)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// How long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        wait
    }
}

/// Calls `attempt` until it succeeds, saying each failure in one line of the log.
/// `None`: asked to stop.
pub async fn until_there<T, E: Display, F: Future<Output = Result<T, E>>>(
    stop: &CancellationToken,
    mut on_failure: impl FnMut(&str),
    mut attempt: impl FnMut() -> F,
) -> Option<T> {
    let mut backoff = Backoff::default();
    loop {
        let outcome = tokio::select! {
            () = stop.cancelled() => return None,
            outcome = attempt() => outcome,
        };
        let error = match outcome {
            Ok(value) => return Some(value),
            Err(error) => error.to_string(),
        };
        let wait = backoff.next_wait();
        on_failure(&error);
        tracing::warn!("{error}; trying again in {wait:?}");
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next_wait().as_millis()).collect();
        assert_eq!(
            waits,
            [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]
        );
    }
}
