//! Bugs seeded on the wire: what the checker must catch. Each changes a statement of the
//! product, or the moment of its commit, on the way to the database.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::{
    faults::Fault,
    findings::{Findings, Invariant},
    proxy::rewrite::Rewriting,
};

/// Replacements of a bug.
const MOST: usize = 3;

/// A bug.
#[derive(Debug)]
pub struct Mutation {
    pub name: &'static str,
    replace: &'static [(&'static str, &'static str)],
    commit_later: Option<Duration>,
    /// The run that must catch it.
    pub caught_by: Fault,
    /// It breaks at least one of these promises. That a run finds others broken proves nothing:
    /// they may have been broken by what the bug led to, or by something else.
    pub caught_as: &'static [Invariant],
    hits: [AtomicUsize; MOST],
}

impl Mutation {
    const fn statement(
        name: &'static str,
        caught_by: Fault,
        caught_as: &'static [Invariant],
        replace: &'static [(&'static str, &'static str)],
    ) -> Self {
        assert!(replace.len() <= MOST && !caught_as.is_empty());
        Self {
            name,
            replace,
            commit_later: None,
            caught_by,
            caught_as,
            hits: [const { AtomicUsize::new(0) }; MOST],
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

    /// Whether all of it was done: a statement of which a part was changed is another bug, or
    /// none that PostgreSQL understands.
    pub fn was_in_force(&self) -> bool {
        let parts = self.replace.len().max(1);
        let mut hits = self.hits.iter().take(parts);
        hits.all(|hits| hits.load(Ordering::Relaxed) > 0)
    }

    /// Whether a run found what it breaks.
    pub fn is_caught(&self, findings: &Findings) -> bool {
        let broken = findings.broken();
        self.caught_as.iter().any(|one| broken.contains(one))
    }
}

/// All of them.
pub static ALL: [Mutation; 20] = [
    Mutation::statement(
        "the fence does not compare the epoch",
        Fault::Zombie,
        &[Invariant::StaleCommit],
        &[(
            "where id = $1 and lease_epoch = $2 and state = 'running' for no key update",
            "where id = $1 and state = 'running' for no key update",
        )],
    ),
    Mutation::statement(
        "a settlement does not compare the epoch",
        Fault::Zombie,
        &[Invariant::Stolen, Invariant::OneEnd],
        &[(
            "and state = 'running' and lease_epoch = ($2::bigint[])[width_bucket(id, $1)]",
            "and state = 'running'",
        )],
    ),
    Mutation::statement(
        "the rescue does not ask whether the process is dead",
        Fault::WorkerKilled,
        &[Invariant::Stolen],
        &[(
            "and lease_until <= (select now from clock) and id <> $1",
            "and id <> $1",
        )],
    ),
    Mutation::statement(
        "the rescue counts a death as an attempt",
        Fault::WorkerKilled,
        &[Invariant::Attempts],
        &[
            (
                "set (crashes, state, finished_at, error, dead_group) = (",
                "set (crashes, state, finished_at, error, dead_group, attempt) = (",
            ),
            ("|| ':crash' end", "|| ':crash' end, jobs.attempt + charge"),
        ],
    ),
    // Without the guard alone nothing happens: a job is looked for by `leased_by`, which only a
    // running one has (`jobs_lease_iff_running`), and the database refuses to bring an ended one
    // back (`jobs_legal_transition`). So this looks among those that wait, too.
    Mutation::statement(
        "the rescue takes jobs that do not run",
        Fault::WorkerKilled,
        &[Invariant::Early],
        &[
            (
                "where id = any(array(select job from suspected)) and state = 'running'",
                "where id = any(array(select job from suspected)) or state = 'queued' and run_at > (select now from clock)",
            ),
            (
                "and (id, leased_by) in (select job, process from suspected)",
                "and ((id, leased_by) in (select job, process from suspected) or state = 'queued')",
            ),
            (
                "overdue or leased_by in (select process from gone)",
                "overdue or leased_by in (select process from gone) or leased_by is null",
            ),
        ],
    ),
    Mutation::statement(
        "a checkpoint loses where the job would go on",
        Fault::WorkerKilled,
        &[Invariant::DatabaseTwice],
        &[("cursor = coalesce($4::jsonb, cursor)", "cursor = cursor")],
    ),
    Mutation::statement(
        "deaths never add up to a quarantine",
        Fault::Poison,
        &[Invariant::Quarantine],
        &[(
            "select charge, charge > 0 and jobs.crashes + charge >= $3 as dead_for_good",
            "select charge, false and jobs.crashes + charge >= $3 as dead_for_good",
        )],
    ),
    Mutation::statement(
        "a job that two processes died of is claimed like any other",
        Fault::Poison,
        &[Invariant::Beside],
        &[
            ("j.crashes < 2", "j.crashes < 9"),
            (
                " and crashes < 2 order by run_at",
                " and crashes < 9 order by run_at",
            ),
        ],
    ),
    Mutation::statement(
        "a claim does not look at run_at",
        Fault::Calm,
        &[Invariant::Early],
        &[("run_at <= (select now from clock)", "run_at is not null")],
    ),
    Mutation::statement(
        "a retry counts no attempt",
        Fault::Calm,
        &[Invariant::Attempts],
        &[("jobs.attempt + wish.burns", "jobs.attempt + 0 * wish.burns")],
    ),
    Mutation::statement(
        "a failed job fails once too often",
        Fault::Calm,
        &[Invariant::Attempts],
        &[("jobs.attempt + wish.burns", "jobs.attempt + 2 * wish.burns")],
    ),
    Mutation::statement(
        "keys of requests for the same work are dropped",
        Fault::Calm,
        &[Invariant::Doubled],
        &[(
            "nullif(new.dedupe_key, '')",
            "left(new.dedupe_key, 0) || new.id::text",
        )],
    ),
    Mutation::statement(
        "a request that meets a running job is swallowed",
        Fault::Calm,
        &[Invariant::Swallowed],
        &[(
            "update jobs set again = true where id = any($1)",
            "update jobs set again = again where id = any($1)",
        )],
    ),
    Mutation::statement(
        "an Idempotency-Key is forgotten at once",
        Fault::Calm,
        &[Invariant::Doubled],
        &[("\"created_at\" < $", "\"created_at\" > $")],
    ),
    Mutation::statement(
        "a claim takes any job of a lane",
        Fault::Calm,
        &[Invariant::Lane],
        &[(
            "order by o.id limit 1) = j.id)",
            "order by o.id limit 1) is not null)",
        )],
    ),
    Mutation::statement(
        "parked jobs are not woken",
        Fault::Provider,
        &[Invariant::Lost],
        &[(
            "where connection_id = $1 and state = 'parked' order by id",
            "where connection_id = $1 and state = 'parked' and false order by id",
        )],
    ),
    Mutation::statement(
        "a stream's cursor goes back",
        Fault::Provider,
        &[Invariant::WentBack],
        &[(
            "UPDATE \"stream_states\" SET \"cursor\" = $1",
            "UPDATE \"stream_states\" SET \"cursor\" = case when \"cursor\" is null then $1::jsonb else \
             jsonb '{\"until\": \"2001-01-01T00:00:00Z\", \"latest_time\": \"2001-01-01T00:00:00Z\"}' end",
        )],
    ),
    Mutation::statement(
        "a changed record keeps its old shape",
        Fault::Provider,
        &[Invariant::Records],
        &[(
            "data = case when excluded.deleted_at is null then excluded.data else records.data end",
            "data = records.data",
        )],
    ),
    Mutation::statement(
        "a tick does not move its schedule on, and has no wall",
        Fault::Ticks,
        &[Invariant::Tick],
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
    // The hint leaves before the commit then, too. That alone breaks no promise, whenever it
    // happens: a hint of a job that is not there yet falls away, and the next top-up gives another.
    Mutation {
        commit_later: Some(Duration::from_secs(1)),
        ..Mutation::statement(
            "2xx before the commit",
            Fault::ApiKilled,
            &[Invariant::Lost],
            &[],
        )
    },
];
