//! Hints after a commit: a favour to waiting workers, never a reason to be late.

use std::time::Duration;

use patchbay_core::hints::HintsAway;
use tokio::time::timeout;

/// Hints are worth no more waiting than this: the top-up finds the rows.
const WITHIN: Duration = Duration::from_millis(500);

/// Sends hints and signals as far as the carrier is there and quick.
pub(super) async fn send(hinting: impl Future<Output = Result<(), HintsAway>>) {
    match timeout(WITHIN, hinting).await {
        Ok(Ok(())) => {}
        Ok(Err(away)) => tracing::debug!(%away, "hints not sent"),
        Err(_) => tracing::debug!("the hint carrier is slow; the top-up will do it"),
    }
}
