//! Waiting on a stage: the fleet is tended meanwhile, and what is waited for has an end.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::{stage::Stage, witness};

impl Stage {
    /// Tends the fleet until the condition holds.
    ///
    /// # Errors
    /// It does not within that time: the message says what was waited for.
    pub async fn until(
        &mut self,
        what: &str,
        within: Duration,
        mut holds: impl AsyncFnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let give_up = Instant::now() + within;
        loop {
            self.tend()?;
            if holds(self).await? {
                return Ok(());
            }
            ensure!(
                Instant::now() < give_up,
                "waited {within:?} in vain for {what}; {}",
                self.complaints()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last warnings of each process.
    pub fn complaints(&self) -> String {
        let mut all = Vec::new();
        for seat in &self.seats {
            let Some(process) = &seat.process else {
                continue;
            };
            let log = process.log().unwrap_or_default();
            let warnings = log
                .lines()
                .rev()
                .filter(|line| line.contains("WARN") || line.contains("ERROR"));
            all.extend(
                warnings
                    .take(2)
                    .map(|line| format!("{:?}: {line}", seat.role)),
            );
        }
        all.join("; ")
    }

    /// Tends the fleet for a while.
    ///
    /// # Errors
    /// The binary does not start.
    pub async fn run_for(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tend()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until no job is open. What is still open then, the checker finds.
    ///
    /// # Errors
    /// The binary does not start.
    pub async fn drain(&mut self, within: Duration) -> Result<bool> {
        let drained = self
            .until("an empty queue", within, async |stage| {
                Ok(witness::open_jobs(&stage.database).await.unwrap_or(1) == 0)
            })
            .await;
        Ok(drained.is_ok())
    }
}
