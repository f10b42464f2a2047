//! What checks do about a provider that is silent. A batch of checks holds a slot of its queue
//! until its last answer, so checks that wait in vain hold up those of every other provider.
//! Therefore: who has not answered a few in a row is waited for only shortly, and by one batch
//! of a process at a time; and while the fleet leaves a host alone, the clock asks a few of its
//! connections now and then, so that its recovery is seen, and fails the others unasked. What
//! is known here is this process's; what the fleet knows is in the circuit breakers. A check
//! that a person or another job asks for is always made, and with patience.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use patchbay_core::{
    breaker::{Caller, Held},
    ids::JobId,
};
use patchbay_providers::Session;

/// Checks in a row that a provider has not answered at all, until waiting gets short. Hosts of
/// one provider may differ (a shop each): those that are gone among others that answer
/// meanwhile are no row.
const IN_VAIN: u32 = 3;
/// Times as seldom as others, a connection of a host that is left alone is asked with patience:
/// the host may have become slow.
const PATIENT_EVERY: u32 = 4;
/// Connections of a host that is left alone which are asked in [`Manners::scouts_every`]: one
/// alone may be broken in its own way.
const SCOUTS: usize = 4;

/// How long checks wait, and how often they try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// A provider that has not answered by then has failed the check.
    pub patience: Duration,
    /// The same while the provider is silent, but for the first check of a batch: the provider
    /// may have become slow.
    pub impatience: Duration,
    /// The time in which a few connections of a host that is left alone are asked. They hold a
    /// slot for [`impatience`](Self::impatience) of it, now and then for
    /// [`patience`](Self::patience).
    pub scouts_every: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(20),
            impatience: Duration::from_secs(5),
            scouts_every: Duration::from_secs(30),
        }
    }
}

/// Who is silent, as this process knows it.
#[derive(Debug, Default)]
pub struct Silence {
    manners: Manners,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Checks in a row that waited in vain, by provider.
    in_vain: HashMap<Arc<str>, u32>,
    /// When a check last had an answer, by provider.
    answered: HashMap<Arc<str>, Instant>,
    /// The batch that waits for a silent provider.
    waiting: HashMap<Arc<str>, JobId>,
    /// By provider and origin that is left alone.
    scouts: HashMap<(Arc<str>, String), Scouts>,
}

/// When connections of a host that is left alone were asked.
#[derive(Debug, Default)]
struct Scouts {
    lately: Vec<Instant>,
    /// With patience.
    patient: Option<Instant>,
}

/// Whether the clock's check of a connection is made.
#[derive(Debug)]
pub(crate) enum Leave {
    /// Yes, and it waits this long.
    Ask(Duration),
    /// No: its host is left alone.
    Unasked(Held),
}

/// A batch of the clock's checks; while it lives, others do not wait for the same silence.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    silence: &'a Silence,
    job: JobId,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.silence
            .known()
            .waiting
            .retain(|_, job| *job != self.job);
    }
}

impl Silence {
    /// With other times than the usual ones.
    #[must_use]
    pub fn with(manners: Manners) -> Self {
        Self {
            manners,
            known: Mutex::default(),
        }
    }

    /// How long a check waits that is made in any case.
    pub(crate) fn patience(&self) -> Duration {
        self.manners.patience
    }

    /// Begins a batch of the clock's checks of a provider. `None`: another one waits for its
    /// silence already.
    pub(crate) fn begin(&self, job: JobId, provider: &str) -> Option<Batch<'_>> {
        let waiting = self.known().waiting.get(provider).copied();
        waiting
            .is_none_or(|other| other == job)
            .then_some(Batch { silence: self, job })
    }

    /// Whether a connection of the batch is asked, judged by its own host.
    pub(crate) async fn leave(&self, batch: JobId, session: &Session) -> Leave {
        let provider = &session.subject.provider;
        let held = held(session).await;
        let mut known = self.known();
        if let Some((origin, held)) = held {
            let scouts = known.scouts.entry((Arc::clone(provider), origin));
            return match scouts.or_default().send(self.manners) {
                Some(patience) => Leave::Ask(patience),
                None => Leave::Unasked(held),
            };
        }
        let in_vain = known.in_vain.get(provider).copied().unwrap_or(0);
        if in_vain < IN_VAIN {
            return Leave::Ask(self.manners.patience);
        }
        match known.waiting.entry(Arc::clone(provider)) {
            Entry::Vacant(first) => {
                first.insert(batch);
                Leave::Ask(self.manners.patience)
            }
            Entry::Occupied(_) => Leave::Ask(self.manners.impatience),
        }
    }

    /// Whether the fleet still leaves a connection's host alone.
    pub(crate) async fn lasts(&self, session: &Session) -> bool {
        held(session).await.is_some()
    }

    /// A check got its answer, whatever it said.
    pub(crate) fn answered(&self, session: &Session) {
        let provider = &session.subject.provider;
        let mut known = self.known();
        known.in_vain.remove(provider);
        known.waiting.remove(provider);
        known.answered.insert(Arc::clone(provider), Instant::now());
    }

    /// A check waited in vain and its call was given up, so that nobody but us can tell the
    /// circuit breaker.
    pub(crate) async fn in_vain(&self, session: &Session, waited: Duration) {
        let provider = &session.subject.provider;
        self.known().count(provider, waited);
        let (Some(breakers), Some(origin)) = (session.outbound.breakers(), session.host()) else {
            return;
        };
        let entered = breakers
            .enter(provider, &origin.to_string(), Caller::Exempt)
            .await;
        if let Ok(pass) = entered {
            let reason = format!("no answer to a check within {} s", waited.as_secs());
            breakers.failed(&pass, &reason).await;
        }
    }

    /// Maps and numbers are whole at any moment, also after a panic elsewhere.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// One more that waited so long, in a row if nobody had an answer meanwhile.
    fn count(&mut self, provider: &Arc<str>, waited: Duration) {
        let answered = self.answered.get(provider);
        if answered.is_none_or(|at| at.elapsed() >= waited) {
            *self.in_vain.entry(Arc::clone(provider)).or_default() += 1;
        }
    }
}

impl Scouts {
    /// One more, if it is its time, and how long it waits.
    fn send(&mut self, manners: Manners) -> Option<Duration> {
        self.lately.retain(|at| at.elapsed() < manners.scouts_every);
        if self.lately.len() >= SCOUTS {
            return None;
        }
        self.lately.push(Instant::now());
        let seldom = manners.scouts_every * PATIENT_EVERY;
        if self.patient.is_some_and(|at| at.elapsed() < seldom) {
            return Some(manners.impatience);
        }
        self.patient = Some(Instant::now());
        Some(manners.patience)
    }
}

/// The host of a connection, where the fleet leaves it alone.
async fn held(session: &Session) -> Option<(String, Held)> {
    let breakers = session.outbound.breakers()?;
    let (provider, origin) = (&session.subject.provider, session.host()?.to_string());
    // Going in is what reads the fleet's breakers again; nothing else may pass here for long.
    match breakers.enter(provider, &origin, Caller::Exempt).await {
        Ok(_) => breakers.held(provider, &origin),
        Err(held) => Some(held),
    }
    .map(|held| (origin, held))
}

#[cfg(test)]
mod tests {
    use patchbay_core::clock::SystemClock;

    use super::*;

    #[test]
    fn one_batch_of_a_process_waits_for_a_silent_provider() {
        let silence = Silence::default();
        let [first, second] = [(); 2].map(|()| JobId::new(&SystemClock));
        let waits = silence.begin(first, "slack").expect("nobody waits");
        let also = silence.begin(second, "slack").expect("it is not silent");
        drop(also);
        silence.known().waiting.insert("slack".into(), first);
        assert!(silence.begin(second, "slack").is_none());
        assert!(silence.begin(second, "square").is_some(), "another one is");
        drop(waits);
        assert!(silence.begin(second, "slack").is_some());
    }

    #[test]
    fn who_is_gone_among_others_that_answer_is_no_row() {
        let (slack, waited) = (Arc::<str>::from("slack"), Duration::from_secs(20));
        let mut known = Known::default();
        known.answered.insert(Arc::clone(&slack), Instant::now());
        for _ in 0..IN_VAIN {
            known.count(&slack, waited);
        }
        assert_eq!(known.in_vain.get(&slack), None, "another was answered");
        known.count(&slack, Duration::ZERO);
        assert_eq!(known.in_vain.get(&slack), Some(&1));
    }

    #[test]
    fn one_of_many_scouts_is_patient() {
        let manners = Manners::default();
        let mut scouts = Scouts::default();
        let sent: Vec<_> = (0..6).map(|_| scouts.send(manners)).collect();
        let (long, short) = (Some(manners.patience), Some(manners.impatience));
        assert_eq!(sent, [long, short, short, short, None, None]);
        // The next time of scouts.
        scouts.lately.clear();
        assert_eq!(scouts.send(manners), short);
    }
}
