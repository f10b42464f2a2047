//! Asks the fleet for a permit and waits until it is good. Where there is no fleet to ask, the
//! process keeps the budget itself: all of it where it is alone, its share while Redis is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{Buckets, Budget, Caller, LONGEST_WAIT, Rate, micros};
use crate::{hints::Hints, store::Store};

/// How old the number of living workers may be.
const FRESH: Duration = Duration::from_secs(5);
/// A database that is slower than this is away, for this purpose.
const PATIENCE: Duration = Duration::from_secs(2);
/// Who got no permit comes back within this much time more, at random.
const SPREAD: Duration = Duration::from_secs(5);

/// The budgets as one process keeps them with its fleet.
#[derive(Debug)]
pub struct Pacer {
    hints: Arc<dyn Hints>,
    store: Store,
    own: Buckets,
    /// The zero of the own buckets' clock.
    started: Instant,
    /// How many workers live, and when that was read.
    sharers: Mutex<Option<(Instant, u32)>>,
    counts: PaceCounts,
}

/// There was no permit within [`LONGEST_WAIT`]; nothing was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// What the account allows.
    pub rate: Rate,
    /// When to ask again; a little different for each.
    pub after: Duration,
}

/// Counts since the process started.
#[derive(Debug, Default)]
pub struct PaceCounts {
    waits: AtomicU64,
    waited_ms: AtomicU64,
    late: AtomicU64,
    alone: AtomicU64,
}

impl PaceCounts {
    /// Name and value of each.
    #[must_use]
    pub fn numbers(&self) -> [(&'static str, u64); 4] {
        [
            ("rate_waits", self.waits.load(Ordering::Relaxed)),
            ("rate_waited_ms", self.waited_ms.load(Ordering::Relaxed)),
            ("rate_calls_put_off", self.late.load(Ordering::Relaxed)),
            (
                "rate_permits_without_redis",
                self.alone.load(Ordering::Relaxed),
            ),
        ]
    }
}

impl Pacer {
    /// Permits go through where hints go. The database says how many share a budget while
    /// that is away.
    #[must_use]
    pub fn new(hints: Arc<dyn Hints>, store: Store) -> Self {
        Self {
            hints,
            store,
            own: Buckets::default(),
            started: Instant::now(),
            sharers: Mutex::default(),
            counts: PaceCounts::default(),
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> &PaceCounts {
        &self.counts
    }

    /// Waits for its turn to call. Dropped meanwhile, it has used its permit up.
    ///
    /// # Errors
    /// It would take longer than [`LONGEST_WAIT`].
    pub async fn turn(&self, budget: &Budget, caller: Caller) -> Result<(), Late> {
        let wait = Duration::from_micros(self.permit(budget, caller).await);
        if wait > LONGEST_WAIT {
            self.counts.late.fetch_add(1, Ordering::Relaxed);
            return Err(Late {
                rate: budget.rate,
                after: wait + SPREAD.mul_f64(rand::random()),
            });
        }
        if !wait.is_zero() {
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.counts.waits.fetch_add(1, Ordering::Relaxed);
            self.counts.waited_ms.fetch_add(ms, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    async fn permit(&self, budget: &Budget, caller: Caller) -> u64 {
        let terms = budget.rate.terms(caller, 1);
        let sharers = match self.hints.permit(budget.key(), &terms).await {
            Ok(Some(permit)) => return permit.wait,
            Ok(None) => 1,
            Err(away) => {
                tracing::trace!(%away, "a budget is kept without Redis");
                self.counts.alone.fetch_add(1, Ordering::Relaxed);
                self.sharers().await
            }
        };
        let now = micros(self.started.elapsed());
        let terms = budget.rate.terms(caller, sharers);
        self.own.take(budget.key(), &terms, now).wait
    }

    /// How many workers share what Redis kept for all. With the database away too: as many as
    /// there were last; a process that never knew goes on as if it were alone.
    async fn sharers(&self) -> u32 {
        let mut known = self.sharers.lock().await;
        if let Some((read, count)) = *known
            && read.elapsed() < FRESH
        {
            return count;
        }
        let count = match tokio::time::timeout(PATIENCE, self.store.living_workers()).await {
            Ok(Ok(count)) => count.max(1),
            Ok(Err(_)) | Err(_) => known.map_or(1, |(_, count)| count),
        };
        *known = Some((Instant::now(), count));
        count
    }
}
