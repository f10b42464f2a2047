//! The slots of a queue in this process: how many are free, and for whom.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use patchbay_core::ids::OrgId;

/// After several orgs were seen waiting, slots stay kept for newcomers this long: an org
/// that sends a job now and then is otherwise unseen between two of them.
const CROWDED_FOR: Duration = Duration::from_secs(10);
/// After one org alone was seen waiting, it may have every slot for this long without a
/// second look.
const ALONE_FOR: Duration = Duration::from_secs(1);
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
    alone_until: Option<Instant>,
}

impl Slots {
    pub(super) fn new(total: usize) -> Self {
        Self {
            total,
            occupied: 0,
            asked: 0,
            of_org: HashMap::new(),
            crowded_until: None,
            alone_until: None,
        }
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
        if !self.crowded(now) && self.alone_until.is_some_and(|until| now < until) {
            return (free, 0);
        }
        let kept = free.min(self.total / KEPT_SHARE);
        (free - kept, kept)
    }

    /// Whether several orgs were seen waiting lately.
    pub(super) fn crowded(&self, now: Instant) -> bool {
        self.crowded_until.is_some_and(|until| now < until)
    }

    /// What a fetch that got something saw.
    pub(super) fn saw_waiting(&mut self, several: bool, now: Instant) {
        if several {
            self.crowded_until = Some(now + CROWDED_FOR);
        } else {
            self.alone_until = Some(now + ALONE_FOR);
        }
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
    fn a_quarter_is_kept_unless_one_org_alone_waits() {
        let org = OrgId::new(&SystemClock);
        let now = Instant::now();
        let mut slots = Slots::new(8);
        assert_eq!(slots.open_and_kept(now), (6, 2), "nobody knows yet");
        slots.saw_waiting(false, now);
        assert_eq!(slots.open_and_kept(now), (8, 0));
        assert_eq!(slots.open_and_kept(now + ALONE_FOR), (6, 2));
        slots.saw_waiting(true, now);
        slots.saw_waiting(false, now);
        assert_eq!(slots.open_and_kept(now), (6, 2));
        for _ in 0..6 {
            slots.occupy(org);
        }
        assert_eq!(slots.open_and_kept(now), (0, 2));
        assert_eq!(slots.busy_orgs(), [org]);
        slots.ask(1);
        assert_eq!(slots.open_and_kept(now), (0, 1));
        slots.answered(1);
        slots.vacate(org);
        assert_eq!(slots.open_and_kept(now), (1, 2));
    }
}
