//! The budgets that one process keeps by itself.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Permit, Terms};

/// Full buckets are dropped when there are this many, or twice as many as were left before.
const DROP_AT: usize = 1_024;

/// Until when the calls of each budget are taken.
#[derive(Debug, Default)]
pub struct Buckets(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    until: HashMap<String, u64>,
    drop_at: usize,
}

impl Buckets {
    /// Asks for a permit at `now`, in microseconds of a clock of the caller's own.
    pub fn take(&self, key: &str, terms: &Terms, now: u64) -> Permit {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.until.len() >= taken.drop_at.max(DROP_AT) {
            taken.until.retain(|_, until| *until > now);
            taken.drop_at = 2 * taken.until.len();
        }
        let until = taken.until.entry(key.to_owned()).or_insert(now);
        let (wait, next) = terms.take(*until, now);
        *until = next;
        Permit {
            wait,
            asked_at: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pace::{Caller, Rate};

    #[test]
    fn each_key_has_a_bucket_of_its_own_and_full_ones_are_forgotten() {
        let terms = Rate::new(1, Duration::from_secs(1)).unwrap();
        let terms = terms.terms(Caller::Job, 1);
        let buckets = Buckets::default();
        for n in 1..DROP_AT {
            assert_eq!(buckets.take(&n.to_string(), &terms, 0).wait, 0);
        }
        assert_eq!(buckets.take("7", &terms, 0).wait, 1_000_000);
        assert_eq!(buckets.take("another", &terms, 0).wait, 0);
        assert_eq!(buckets.take("one too many", &terms, 1_500_000).wait, 0);
        let left = buckets.0.lock().unwrap().until.len();
        assert_eq!(
            left, 2,
            "the one that two calls were taken of, and the last"
        );
    }
}
