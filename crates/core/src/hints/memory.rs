//! Hints of the embedded mode: the same fair ring, in this process's memory.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Notify, broadcast};

use super::{HINTS_PER_TURN, Hints, HintsAway, Popped, SIGNALS_KEPT, Signal};
use crate::{
    ids::{JobId, OrgId},
    job::Queue,
    store::jobs::Due,
};

/// Hints and signals within one process.
#[derive(Debug)]
pub struct MemoryHints {
    queues: BTreeMap<Queue, Waiting>,
    signals: broadcast::Sender<Signal>,
}

#[derive(Debug, Default)]
struct Waiting {
    ring: Mutex<Ring>,
    came: Notify,
}

/// A list per org and the order of their turns. An org is in `turns` exactly when its
/// list is not empty.
#[derive(Debug, Default)]
struct Ring {
    turns: VecDeque<OrgId>,
    lists: HashMap<OrgId, List>,
}

#[derive(Debug, Default)]
struct List {
    ids: VecDeque<JobId>,
    present: HashSet<JobId>,
}

impl Default for MemoryHints {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryHints {
    /// Empty rings.
    #[must_use]
    pub fn new() -> Self {
        let queues = Queue::ALL
            .into_iter()
            .map(|queue| (queue, Waiting::default()))
            .collect();
        Self {
            queues,
            signals: broadcast::Sender::new(SIGNALS_KEPT),
        }
    }

    fn waiting(&self, queue: Queue) -> &Waiting {
        self.queues
            .get(&queue)
            .expect("`new` makes a ring for every queue")
    }
}

impl Waiting {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One waiter is enough: after its pop it wakes the next where hints are left.
    fn wake_where_hints_are_left(&self, ring: &Ring) {
        if !ring.turns.is_empty() {
            self.came.notify_one();
        }
    }
}

impl Ring {
    fn push(&mut self, due: Due) {
        let list = self.lists.entry(due.turn).or_default();
        if list.ids.len() >= HINTS_PER_TURN || !list.present.insert(due.job) {
            return;
        }
        list.ids.push_back(due.job);
        if list.ids.len() == 1 {
            self.turns.push_back(due.turn);
        }
    }

    fn pop(&mut self, limit: usize, skip: &[OrgId]) -> Vec<Due> {
        let mut due = Vec::new();
        let mut passed_over = VecDeque::new();
        while due.len() < limit {
            let Some(turn) = self.turns.pop_front() else {
                break;
            };
            if skip.contains(&turn) {
                passed_over.push_back(turn);
                continue;
            }
            let Some(list) = self.lists.get_mut(&turn) else {
                continue;
            };
            if let Some(job) = list.ids.pop_front() {
                list.present.remove(&job);
                due.push(Due { job, turn });
            }
            if list.ids.is_empty() {
                self.lists.remove(&turn);
            } else {
                self.turns.push_back(turn);
            }
        }
        passed_over.append(&mut self.turns);
        self.turns = passed_over;
        due
    }
}

#[async_trait]
impl Hints for MemoryHints {
    async fn push(&self, queue: Queue, due: &[Due]) -> Result<(), HintsAway> {
        let waiting = self.waiting(queue);
        let mut ring = waiting.ring();
        for hint in due {
            ring.push(*hint);
        }
        waiting.wake_where_hints_are_left(&ring);
        Ok(())
    }

    async fn pop(&self, queue: Queue, limit: usize, skip: &[OrgId]) -> Result<Popped, HintsAway> {
        let waiting = self.waiting(queue);
        let mut ring = waiting.ring();
        let due = ring.pop(limit, skip);
        waiting.wake_where_hints_are_left(&ring);
        Ok(Popped {
            due,
            several_wait: ring.turns.len() > 1,
        })
    }

    async fn wait(&self, queue: Queue, patience: Duration) -> Result<(), HintsAway> {
        // Running out of patience and being woken mean the same: look.
        if tokio::time::timeout(patience, self.waiting(queue).came.notified())
            .await
            .is_err()
        {
            tracing::trace!(queue = queue.name(), "no hint came");
        }
        Ok(())
    }

    async fn depth(&self, queue: Queue, orgs: &[OrgId]) -> Result<Vec<usize>, HintsAway> {
        let ring = self.waiting(queue).ring();
        Ok(orgs
            .iter()
            .map(|org| ring.lists.get(org).map_or(0, |list| list.ids.len()))
            .collect())
    }

    async fn signal_all(&self, signals: &[Signal]) -> Result<(), HintsAway> {
        for signal in signals {
            // An error says that nobody listens now.
            self.signals.send(*signal).ok();
        }
        Ok(())
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    async fn ping(&self) -> Result<(), HintsAway> {
        Ok(())
    }
}
