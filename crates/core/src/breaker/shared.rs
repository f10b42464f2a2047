//! The breakers of the fleet as one process sees them. All is well costs a call nothing but
//! a look at what the process knows; what it knows is read again every second. With the
//! database away it goes on with what it knows and counts by itself.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Breaker, State};
use crate::store::{Store, StoreError};

/// How old what a process knows may be.
const FRESH: Duration = Duration::from_secs(1);
/// A database that is slower than this is away, for this purpose.
const PATIENCE: Duration = Duration::from_secs(2);
/// What was held back comes back over this much time, at random.
const SPREAD: Duration = Duration::from_secs(5);

/// A provider and the scheme, host and port of a call to it.
pub type Key = (String, String);

/// The breakers that a process shares with its fleet.
#[derive(Debug)]
pub struct Breakers {
    store: Store,
    known: Mutex<Known>,
    /// Whoever asks the database, so that a thousand failures at one moment are not a
    /// thousand transactions on one row.
    turn: tokio::sync::Mutex<()>,
    counts: BreakerCounts,
}

#[derive(Debug, Default)]
struct Known {
    rows: HashMap<Key, Breaker>,
    /// When they were read, and the time of the database then: a worker's own clock may be wrong.
    read: Option<(Instant, DateTime<Utc>)>,
}

/// Counts since the process started.
#[derive(Debug, Default)]
pub struct BreakerCounts {
    opened: AtomicU64,
    closed: AtomicU64,
    held: AtomicU64,
}

impl BreakerCounts {
    /// Name and value of each.
    #[must_use]
    pub fn numbers(&self) -> [(&'static str, u64); 3] {
        [
            ("breakers_opened", self.opened.load(Ordering::Relaxed)),
            ("breakers_closed", self.closed.load(Ordering::Relaxed)),
            ("breaker_calls_held", self.held.load(Ordering::Relaxed)),
        ]
    }
}

/// Who asks to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Goes through whatever is known: a check, or a person's test. It is no probe.
    Exempt,
    /// A call that has ended after this much time.
    Within(Duration),
}

/// A call may go out; say [`Breakers::passed`], [`Breakers::failed`] or
/// [`Breakers::unasked`] of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    key: Key,
    probing: bool,
}

impl Pass {
    /// Whether the whole fleet waits for what comes of this call.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probing
    }
}

/// A call is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Since when the host does not answer.
    pub since: DateTime<Utc>,
    /// How it fails, in words.
    pub reason: String,
    /// When to ask again; a little different for each.
    pub until: DateTime<Utc>,
    /// The same from now on.
    pub after: Duration,
}

impl Breakers {
    /// The breakers in this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            known: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            counts: BreakerCounts::default(),
        }
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> &BreakerCounts {
        &self.counts
    }

    /// Those that are open as far as this process knows: provider and origin.
    #[must_use]
    pub fn open(&self) -> Vec<Key> {
        let known = self.known();
        let open = |(key, row): (&Key, &Breaker)| row.opened_at.map(|_| key.clone());
        known.rows.iter().filter_map(open).collect()
    }

    /// Asks whether a call may go out.
    ///
    /// # Errors
    /// The host does not answer; say so, and come back.
    pub async fn enter(&self, provider: &str, origin: &str, caller: Caller) -> Result<Pass, Held> {
        self.look().await;
        let key = (provider.to_owned(), origin.to_owned());
        let (row, now) = self.of(&key);
        let pass = |probing| Pass {
            key: key.clone(),
            probing,
        };
        match (row.as_ref().map(|row| row.state(now)), caller) {
            (None | Some(State::Closed), _) | (_, Caller::Exempt) => Ok(pass(false)),
            (Some(State::Open), Caller::Within(_)) => Err(self.hold(row, now)),
            (Some(State::HalfOpen), Caller::Within(limit)) => {
                let _turn = self.turn.lock().await;
                let take = |row: &mut Breaker, now| row.take_probe(now, limit);
                let (mine, now) = self.change(&key, take).await;
                if mine {
                    return Ok(pass(true));
                }
                match self.of(&key).0 {
                    // Somebody's probe has passed meanwhile.
                    None => Ok(pass(false)),
                    Some(row) if row.opened_at.is_none() => Ok(pass(false)),
                    row => Err(self.hold(row, now)),
                }
            }
        }
    }

    /// The host answered, whatever it said.
    pub async fn passed(&self, pass: &Pass) {
        if self.of(&pass.key).0.is_none() {
            return;
        }
        let _turn = self.turn.lock().await;
        let Some(row) = self.known().rows.remove(&pass.key) else {
            return;
        };
        if row.opened_at.is_some() {
            self.counts.closed.fetch_add(1, Ordering::Relaxed);
            tracing::info!(provider = pass.key.0, origin = pass.key.1, "answers again");
        }
        let forget = self.store.forget_breaker(&pass.key.0, &pass.key.1);
        if let Err(error) = in_time(forget).await {
            // The next call that passes finds the row and forgets it.
            tracing::debug!(%error, "a breaker could not be closed for the fleet");
        }
    }

    /// The call failed by the host's own fault.
    pub async fn failed(&self, pass: &Pass, reason: &str) {
        let _turn = self.turn.lock().await;
        let (row, _) = self.of(&pass.key);
        let late = row.is_some_and(|row| row.opened_at.is_some()) && !pass.probing;
        if !late {
            let change = |row: &mut Breaker, now| row.failed(now, pass.probing, reason);
            let (opened, _) = self.change(&pass.key, change).await;
            if opened {
                self.counts.opened.fetch_add(1, Ordering::Relaxed);
                let (provider, origin) = &pass.key;
                tracing::warn!(
                    provider,
                    origin,
                    reason,
                    "does not answer and is left alone"
                );
            }
        }
    }

    /// The host was not asked, or what went wrong says nothing of it: where this was the
    /// probe, another call may be.
    pub async fn unasked(&self, pass: &Pass) {
        if pass.probing {
            let _turn = self.turn.lock().await;
            self.change(&pass.key, Breaker::return_probe).await;
        }
    }

    /// Whether the host is left alone, as far as this process knows.
    #[must_use]
    pub fn held(&self, provider: &str, origin: &str) -> Option<Held> {
        let (row, now) = self.of(&(provider.to_owned(), origin.to_owned()));
        let row = row.filter(|row| row.opened_at.is_some())?;
        Some(held(&row, now))
    }

    fn hold(&self, row: Option<Breaker>, now: DateTime<Utc>) -> Held {
        self.counts.held.fetch_add(1, Ordering::Relaxed);
        held(&row.unwrap_or_default(), now)
    }

    /// What is known of one, and the present time of the database as far as is known.
    fn of(&self, key: &Key) -> (Option<Breaker>, DateTime<Utc>) {
        let known = self.known();
        (known.rows.get(key).cloned(), self.now(&known))
    }

    fn now(&self, known: &Known) -> DateTime<Utc> {
        known.read.map_or_else(
            || self.store.clock().now(),
            |(read, then)| then + TimeDelta::from_std(read.elapsed()).unwrap_or_default(),
        )
    }

    /// Reads all again where that is a while ago; one call at a time, the others go on.
    async fn look(&self) {
        let fresh = |(read, _): (Instant, _)| read.elapsed() < FRESH;
        if self.known().read.is_some_and(fresh) {
            return;
        }
        let Ok(_turn) = self.turn.try_lock() else {
            return;
        };
        match in_time(self.store.breakers()).await {
            Ok((rows, now)) => {
                let mut known = self.known();
                known.rows = rows.into_iter().collect();
                known.read = Some((Instant::now(), now));
            }
            Err(error) => {
                tracing::debug!(%error, "breakers could not be read");
                let mut known = self.known();
                let now = self.now(&known);
                known.read = Some((Instant::now(), now));
            }
        }
    }

    /// Changes one for the fleet, or for this process alone where the database is away.
    async fn change(
        &self,
        key: &Key,
        change: impl Fn(&mut Breaker, DateTime<Utc>) -> bool + Send + Sync,
    ) -> (bool, DateTime<Utc>) {
        match in_time(self.store.change_breaker(&key.0, &key.1, &change)).await {
            Ok((row, result, now)) => {
                let mut known = self.known();
                known.rows.insert(key.clone(), row);
                (result, now)
            }
            Err(error) => {
                tracing::debug!(%error, "a breaker is changed for this process alone");
                let mut known = self.known();
                let now = self.now(&known);
                let row = known.rows.entry(key.clone()).or_default();
                (change(row, now), now)
            }
        }
    }

    /// A map of rows is whole at any moment, also after a panic elsewhere.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn held(row: &Breaker, now: DateTime<Utc>) -> Held {
    let pause = row.probe_at.map_or(TimeDelta::zero(), |at| at - now);
    let after = pause.to_std().unwrap_or_default() + SPREAD.mul_f64(rand::random());
    Held {
        since: row.first_failed_at.or(row.opened_at).unwrap_or(now),
        reason: row.reason.clone().unwrap_or_default(),
        until: now + TimeDelta::from_std(after).unwrap_or_default(),
        after,
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Unreadable {
            what: "breakers",
            why: "the database does not answer".into(),
        }),
    }
}
