//! When a driver looks for jobs and where: at once when a hint wakes it, in whole batches
//! while it is busy, at the table now and then and while hints are away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use patchbay_core::hints::HintsAway;
use rand::RngExt;

use super::{
    Driver, Event,
    fetch::{self, Plan, Source},
    settle,
};
use crate::alone::Room;

/// Fetches in flight at once: one works while the other travels.
const FETCHES: usize = 2;
/// How long a few free slots or a few ended jobs wait for company: jobs of one batch tend
/// to end together, and half a batch costs the database almost as much as a whole one.
const LINGER: Duration = Duration::from_millis(2);
/// How often newcomers are looked for while only the slots kept for them are free: the
/// hints of others keep every waiter awake.
pub(super) const NEWCOMERS: Duration = Duration::from_millis(50);
/// Ended and unsettled jobs beyond this, and no more are claimed: the database is behind.
const UNSETTLED_MOST: usize = 4 * settle::BATCH;
/// How long a wait for hints lasts before the list is looked at anyway.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the table is looked at although hints work, so that a lost hint costs time only.
pub(super) const TABLE_WITH_HINTS: Duration = Duration::from_secs(2);
/// How often it is looked at while hints are away.
const TABLE_WITHOUT_HINTS: Duration = Duration::from_millis(150);

impl Driver {
    /// When a small fetch or a small settlement stops waiting for company, or newcomers
    /// are looked for again.
    pub(super) fn look_again_at(&self) -> Option<Instant> {
        let fetch = self
            .fetch_waits
            .filter(|_| self.fetches == 0 && self.may_fetch());
        let settle = self
            .settle_waits
            .filter(|_| self.settles == 0 && !self.ended.is_empty());
        let company = fetch.into_iter().chain(settle).map(|since| since + LINGER);
        let newcomers = (self.hints_likely && self.fetches == 0 && self.may_fetch())
            .then_some(self.newcomers_at);
        company
            .chain(newcomers.filter(|at| *at > Instant::now()))
            .min()
    }

    pub(super) fn may_fetch(&self) -> bool {
        self.slots.free() > 0
            && !self.parts.room.is_closed()
            && self.parts.me.borrow().is_some()
            && self.ended.len() + self.settling < UNSETTLED_MOST
    }

    pub(super) fn start_fetches(&mut self) {
        while self.fetches < FETCHES && self.may_fetch() {
            let now = Instant::now();
            let Some(source) = self.source(now) else {
                return;
            };
            let few = self.slots.free() < self.slots.total().div_ceil(4);
            if few && (self.fetches > 0 || !lingered(&mut self.fetch_waits, now)) {
                return;
            }
            self.fetch_waits = None;
            self.start_fetch(source, now);
        }
    }

    /// Where jobs are likely to be found now, if anywhere.
    fn source(&self, now: Instant) -> Option<Source> {
        let only_kept = self.slots.open_and_kept(now).0 == 0;
        if self.table_has_more || now >= self.table_at {
            Some(Source::Table { after: self.after })
        } else if self.hints_likely && !(only_kept && now < self.newcomers_at) {
            Some(Source::Hints)
        } else {
            None
        }
    }

    fn start_fetch(&mut self, source: Source, now: Instant) {
        let Some(me) = *self.parts.me.borrow() else {
            return;
        };
        let Some(claiming) = Room::claim(&self.parts.room) else {
            return;
        };
        if let Source::Table { .. } = source {
            // Set again when the answer is there; until then nobody else looks: two looks at
            // once meet the same rows, and one comes back with too few.
            self.table_at = now + TABLE_WITH_HINTS;
            self.table_has_more = false;
        }
        let (open, kept) = self.slots.open_and_kept(now);
        let plan = Plan {
            me,
            source,
            open,
            kept,
            busy: self.slots.busy_orgs(),
            crowded: self.slots.crowded(now),
            wakes: self.wakes,
        };
        self.slots.ask(plan.slots());
        self.fetches += 1;
        let ctx = self.parts.ctx.clone();
        let queue = self.parts.queue;
        self.ops.push(
            fetch::fetch(ctx.store, ctx.hints, queue, plan, claiming)
                .map(Event::Fetched)
                .boxed(),
        );
    }

    /// A task of its own: a wait must not be dropped, and outlives a leaving driver.
    pub(super) fn start_wait(&mut self) {
        let room = Arc::clone(&self.parts.room);
        if self.hints_likely || self.wait.is_some() || self.slots.free() == 0 || room.is_closed() {
            return;
        }
        let hints = Arc::clone(&self.parts.ctx.hints);
        let queue = self.parts.queue;
        let stop = self.parts.stop.clone();
        self.wait = Some(tokio::spawn(async move {
            let waited = hints.wait(queue, PATIENCE).await;
            if stop.is_cancelled() || room.is_closed() {
                // This wake-up may have been meant for another process.
                hints.push(queue, &[]).await?;
            }
            waited
        }));
    }

    pub(super) fn waited(&mut self, waited: Result<(), HintsAway>) {
        match waited {
            Ok(()) => {
                self.wakes += 1;
                self.hints_likely = true;
            }
            Err(away) => self.without_hints(&away),
        }
    }

    /// The table is polled; once its next look is due, hints are tried again too.
    pub(super) fn without_hints(&mut self, away: &HintsAway) {
        tracing::debug!(%away, queue = self.parts.queue.name(), "hints are away");
        self.hints_likely = false;
        let pause = jittered(TABLE_WITHOUT_HINTS);
        self.look_at_table_within(pause);
        if self.wait.is_none() {
            self.wait = Some(tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                Ok(())
            }));
        }
    }

    pub(super) fn look_at_table_within(&mut self, delay: Duration) {
        self.table_at = self.table_at.min(Instant::now() + delay);
    }
}

/// Whether the wait for company, begun now if not before, has been long enough.
pub(super) fn lingered(since: &mut Option<Instant>, now: Instant) -> bool {
    now >= *since.get_or_insert(now) + LINGER
}

/// Between half and one and a half of it, so that workers do not poll in step.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.5))
}
