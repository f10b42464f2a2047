//! SIGINT and SIGTERM: the first asks for a graceful stop, the second for a stop at
//! once. After that nothing is waited for long.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// What is left to do after the second signal: give leases back and close.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What the signals ask for.
#[derive(Debug, Clone)]
pub struct Stopping {
    /// Cancelled by the first signal: take nothing new, finish what runs.
    pub stop: CancellationToken,
    /// Cancelled by the second: drop what runs.
    pub hurry: CancellationToken,
}

/// Listens for the signals. Must be called inside the runtime.
pub fn listen() -> std::io::Result<Stopping> {
    let signals = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let stopping = Stopping {
        stop: CancellationToken::new(),
        hurry: CancellationToken::new(),
    };
    tokio::spawn(obey(signals, stopping.clone()));
    Ok(stopping)
}

async fn obey((mut interrupt, mut terminate): (Signal, Signal), stopping: Stopping) {
    either(&mut interrupt, &mut terminate).await;
    tracing::info!("stopping; a second signal stops at once");
    stopping.stop.cancel();
    let code = either(&mut interrupt, &mut terminate).await;
    tracing::warn!("second signal: unfinished jobs go back to their queue");
    stopping.hurry.cancel();
    tokio::select! {
        () = tokio::time::sleep(LAST_WORDS) => {}
        _ = either(&mut interrupt, &mut terminate) => {}
    }
    std::process::exit(code.code().into());
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> Exit {
    tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    }
}
