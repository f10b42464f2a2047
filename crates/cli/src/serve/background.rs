//! The parts of a process, each a task of its own. When one ends before it was asked
//! to, all are stopped: a process works whole or not at all.

use std::future::Future;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::exit::{Outcome, Stop};

/// Running parts.
#[derive(Debug)]
pub struct Parts {
    running: JoinSet<Result<(), String>>,
    stop: CancellationToken,
}

impl Parts {
    /// None yet; they end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            running: JoinSet::new(),
            stop,
        }
    }

    /// Starts a part.
    pub fn start<E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.running.spawn(async move {
            match part.await {
                Ok(()) if stop.is_cancelled() => Ok(()),
                Ok(()) => Err(format!("{name} ended by itself")),
                Err(error) => Err(format!("{name}: {error}")),
            }
        });
    }

    /// Waits for all of them. The first that fails stops the others.
    pub async fn run(mut self) -> Outcome {
        let mut first_fault = None;
        while let Some(ended) = self.running.join_next().await {
            let fault = match ended {
                Ok(Ok(())) => continue,
                Ok(Err(fault)) => fault,
                Err(error) => error.to_string(),
            };
            tracing::error!("{fault}; stopping");
            self.stop.cancel();
            first_fault.get_or_insert(fault);
        }
        first_fault.map_or(Ok(()), |fault| Err(Stop::internal(fault)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn a_part_that_fails_stops_the_others() {
        let stop = CancellationToken::new();
        let mut parts = Parts::new(stop.clone());
        let waits = stop.clone();
        parts.start("waits", async move {
            waits.cancelled().await;
            Ok::<(), Infallible>(())
        });
        parts.start("fails", async { Err("out of order") });
        assert_eq!(
            parts.run().await.unwrap_err().to_string(),
            "fails: out of order"
        );
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn parts_that_end_when_asked_are_a_success() {
        let stop = CancellationToken::new();
        let mut parts = Parts::new(stop.clone());
        let waits = stop.clone();
        parts.start("waits", async move {
            waits.cancelled().await;
            Ok::<(), Infallible>(())
        });
        stop.cancel();
        parts.run().await.expect("both were asked to end");
    }
}
