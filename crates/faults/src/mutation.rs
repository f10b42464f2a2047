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
pub static ALL: [Mutation; 18] = [
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
        Fault::WorkerKilled,
        &[(
            "and lease_until <= (select now from clock) and id <> $1",
            "and id <> $1",
        )],
    ),
    Mutation::statement(
        "the rescue counts a death as an attempt",
        Fault::WorkerKilled,
        &[
            (
                "set (crashes, state, finished_at, error) = (",
                "set (crashes, state, finished_at, error, attempt) = (",
            ),
            (
                "case when dead_for_good then $4::jsonb else jobs.error end",
                "case when dead_for_good then $4::jsonb else jobs.error end, jobs.attempt + charge",
            ),
        ],
    ),
    Mutation::statement(
        "a checkpoint loses where the job would go on",
        Fault::WorkerKilled,
        &[("cursor = coalesce($4::jsonb, cursor)", "cursor = cursor")],
    ),
    Mutation::statement(
        "deaths never add up to a quarantine",
        Fault::Poison,
        &[(
            "select charge, charge > 0 and jobs.crashes + charge >= $3 as dead_for_good",
            "select charge, false and jobs.crashes + charge >= $3 as dead_for_good",
        )],
    ),
    Mutation::statement(
        "a claim does not look at run_at",
        Fault::Calm,
        &[("run_at <= (select now from clock)", "run_at is not null")],
    ),
    Mutation::statement(
        "a retry counts no attempt",
        Fault::Calm,
        &[("jobs.attempt + wish.burns", "jobs.attempt + 0 * wish.burns")],
    ),
    Mutation::statement(
        "a failed job fails once too often",
        Fault::Calm,
        &[("jobs.attempt + wish.burns", "jobs.attempt + 2 * wish.burns")],
    ),
    Mutation::statement(
        "keys of requests for the same work are dropped",
        Fault::Calm,
        &[(
            "nullif(new.dedupe_key, '')",
            "left(new.dedupe_key, 0) || new.id::text",
        )],
    ),
    Mutation::statement(
        "a request that meets a running job is swallowed",
        Fault::Calm,
        &[(
            "update jobs set again = true where id = any($1)",
            "update jobs set again = again where id = any($1)",
        )],
    ),
    Mutation::statement(
        "an Idempotency-Key is forgotten at once",
        Fault::Calm,
        &[("\"created_at\" < $", "\"created_at\" > $")],
    ),
    Mutation::statement(
        "a claim takes any job of a lane",
        Fault::Calm,
        &[(
            "order by o.id limit 1) = j.id)",
            "order by o.id limit 1) is not null)",
        )],
    ),
    Mutation::statement(
        "parked jobs are not woken",
        Fault::Provider,
        &[(
            "where connection_id = $1 and state = 'parked' order by id",
            "where connection_id = $1 and state = 'parked' and false order by id",
        )],
    ),
    Mutation::statement(
        "a stream's cursor goes back",
        Fault::Provider,
        &[(
            "UPDATE \"stream_states\" SET \"cursor\" = $1",
            "UPDATE \"stream_states\" SET \"cursor\" = case when \"cursor\" is null then $1::jsonb else \
             jsonb '{\"until\": \"2001-01-01T00:00:00Z\", \"latest_time\": \"2001-01-01T00:00:00Z\"}' end",
        )],
    ),
    Mutation::statement(
        "a changed record keeps its old shape",
        Fault::Provider,
        &[(
            "data = case when excluded.deleted_at is null then excluded.data else records.data end",
            "data = records.data",
        )],
    ),
    Mutation::statement(
        "a tick does not move its schedule on, and has no wall",
        Fault::Ticks,
        &[
            (
                "set tick = nullif(new.tick, 'epoch'), next_at = nullif(new.due, 'epoch'),",
                "set",
            ),
            (
                "as new (schedule_id, tick, outcome, job_id)",
                "as new (schedule_id, tick, outcome, job_id) on conflict do nothing",
            ),
        ],
    ),
    Mutation {
        commit_later: Some(Duration::from_secs(1)),
        ..Mutation::statement("2xx before the commit", Fault::ApiKilled, &[])
    },
];
