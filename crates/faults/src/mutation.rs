//! Bugs seeded on the wire: what the checker must catch. Each changes a statement of the
//! product, or the moment of its commit, on the way to the database.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::{faults::Fault, proxy::rewrite::Rewriting};

/// A bug.
#[derive(Debug)]
pub struct Mutation {
    pub name: &'static str,
    replace: &'static [(&'static str, &'static str)],
    commit_later: Option<Duration>,
    /// The run that must catch it.
    pub caught_by: Fault,
    hits: AtomicUsize,
}

impl Mutation {
    const fn statement(
        name: &'static str,
        caught_by: Fault,
        replace: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            name,
            replace,
            commit_later: None,
            caught_by,
            hits: AtomicUsize::new(0),
        }
    }

    /// As a wire takes it.
    pub fn rewriting(&'static self) -> Rewriting {
        Rewriting {
            replace: self.replace,
            commit_later: self.commit_later,
            hits: &self.hits,
        }
    }

    /// How often it was in force.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }
}

/// All of them.
pub static ALL: [Mutation; 5] = [
    Mutation::statement(
        "the fence does not compare the epoch",
        Fault::Zombie,
        &[(
            "where id = $1 and lease_epoch = $2 and state = 'running' for no key update",
            "where id = $1 and state = 'running' for no key update",
        )],
    ),
    Mutation::statement(
        "a settlement does not compare the epoch",
        Fault::Zombie,
        &[(
            "and state = 'running' and lease_epoch = ($2::bigint[])[width_bucket(id, $1)]",
            "and state = 'running'",
        )],
    ),
    Mutation::statement(
        "the rescue does not ask whether the process is dead",
        Fault::Calm,
        &[(
            "and lease_until <= (select now from clock) and id <> $1",
            "and id <> $1",
        )],
    ),
    Mutation::statement(
        "a claim does not look at run_at",
        Fault::Calm,
        &[("run_at <= (select now from clock)", "true")],
    ),
    Mutation {
        commit_later: Some(Duration::from_millis(400)),
        ..Mutation::statement("2xx before the commit", Fault::ApiKilled, &[])
    },
];
