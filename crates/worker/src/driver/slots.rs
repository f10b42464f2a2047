//! The slots of a queue in this process: how many are free, and for whom.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use patchbay_core::ids::OrgId;

/// After several orgs were seen waiting, slots stay kept for newcomers this long: an org
/// that sends a job now and then is otherwise unseen between two of them.
const CROWDED_FOR: Duration = Duration::from_secs(10);
/// Of the slots, one in so many is kept for orgs that run nothing here.
const KEPT_SHARE: usize = 4;

/// Who occupies the slots. A prefetched job occupies one; so does one being asked for.
#[derive(Debug)]
pub(super) struct Slots {
    total: usize,
    occupied: usize,
    asked: usize,
    of_org: HashMap<OrgId, usize>,
    crowded_until: Option<Instant>,
}

impl Slots {
    pub(super) fn new(total: usize) -> Self {
        Self { total, occupied: 0, asked: 0, of_org: HashMap::new(), crowded_until: None }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn free(&self) -> usize {
        self.total.saturating_sub(self.occupied + self.asked)
    }

    pub(super) fn occupied(&self) -> usize {
        self.occupied
    }

    /// Free slots as (open to every org, kept for orgs that run nothing here).
    pub(super) fn open_and_kept(&self, now: Instant) -> (usize, usize) {
        let free = self.free();
        if self.crowded_until.is_none_or(|until| now >= until) {
            return (free, 0);
        }
        let kept = free.min(self.total / KEPT_SHARE);
        (free - kept, kept)
    }

    pub(super) fn saw_several_waiting(&mut self, now: Instant) {
        self.crowded_until = Some(now + CROWDED_FOR);
    }

    pub(super) fn busy_orgs(&self) -> Vec<OrgId> {
        self.of_org.keys().copied().collect()
    }

    pub(super) fn ask(&mut self, slots: usize) {
        self.asked += slots;
    }

    pub(super) fn answered(&mut self, slots: usize) {
        self.asked -= slots;
    }

    pub(super) fn occupy(&mut self, org: OrgId) {
        self.occupied += 1;
        *self.of_org.entry(org).or_default() += 1;
    }

    pub(super) fn vacate(&mut self, org: OrgId) {
        self.occupied -= 1;
        if let Some(count) = self.of_org.get_mut(&org) {
            *count -= 1;
            if *count == 0 {
                self.of_org.remove(&org);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use patchbay_core::clock::SystemClock;

    use super::*;

    #[test]
    fn a_quarter_is_kept_only_while_several_orgs_wait() {
        let org = OrgId::new(&SystemClock);
        let now = Instant::now();
        let mut slots = Slots::new(8);
        assert_eq!(slots.open_and_kept(now), (8, 0));
        slots.saw_several_waiting(now);
        assert_eq!(slots.open_and_kept(now), (6, 2));
        for _ in 0..6 {
            slots.occupy(org);
        }
        assert_eq!(slots.open_and_kept(now), (0, 2));
        assert_eq!(slots.busy_orgs(), [org]);
        slots.ask(1);
        assert_eq!(slots.open_and_kept(now), (0, 1));
        slots.answered(1);
        assert_eq!(slots.open_and_kept(now + CROWDED_FOR), (2, 0));
        slots.vacate(org);
        assert_eq!(slots.open_and_kept(now), (1, 2));
    }
}
