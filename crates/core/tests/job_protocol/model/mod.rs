//! Random operation sequences against a small model, with the whole job table compared
//! after each step. The model says in a hundred lines what the statements say in many:
//! where they differ, one of them is wrong.

mod alone;
mod ends;
mod poison;
mod replays;
mod rescued;
mod run;
mod table;
mod turns;

use proptest::{prelude::*, test_runner::TestRunner};

/// One step. Numbers choose among what is there, so any sequence makes sense: even ones
/// mostly among what the step can work on, odd ones among all there is.
#[derive(Debug, Clone)]
pub enum Step {
    /// Ask for a job: org, lane and key if any, of a connection or not, delay in seconds.
    Enqueue {
        org: u8,
        lane: Option<u8>,
        key: Option<u8>,
        connection: bool,
        delay: u8,
    },
    /// A process claims these hints.
    Claim { process: u8, hints: Vec<u8> },
    /// A process claims what is due, perhaps passing over an org.
    ClaimDue {
        process: u8,
        limit: u8,
        after: u8,
        skip: Option<u8>,
    },
    /// A process makes room for a job that is to run alone, and claims it once it may.
    Alone { process: u8 },
    /// The room is everyone's again.
    LeaveRoom { process: u8 },
    /// A process renews its lease.
    Renew { process: u8 },
    /// A body commits progress; one that lost its lease tries as well.
    Checkpoint { lease: u8 },
    /// A lease ends; one that was lost tries as well.
    Settle { lease: u8, end: End },
    /// A person cancels.
    Cancel { job: u8 },
    /// A person retries.
    Retry { job: u8 },
    /// A person discards.
    Discard { job: u8 },
    /// The connection's credential is replaced, which unparks.
    Replace,
    /// The connection is switched off, which parks what waits.
    Disable,
    /// The connection is switched on, which unparks.
    Enable,
    /// A process stops gracefully, and a new one takes its place.
    Leave { process: u8 },
    /// A process dies: it is never heard of again, and a new one takes its place.
    Crash { process: u8 },
    /// A process dies, the others live on, and a scheduler rescues.
    Death { process: u8 },
    /// A scheduler rescues.
    Rescue,
    /// Time passes, in seconds.
    Wait { seconds: u8 },
}

/// How a lease ends.
#[derive(Debug, Clone)]
pub enum End {
    Succeed,
    Fail,
    Retry { delay: u8 },
    Snooze { delay: u8 },
    Park { with_version: bool },
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        3 => Just(End::Succeed),
        1 => Just(End::Fail),
        1 => (0..9_u8).prop_map(|delay| End::Retry { delay }),
        1 => (0..9_u8).prop_map(|delay| End::Snooze { delay }),
        2 => any::<bool>().prop_map(|with_version| End::Park { with_version }),
        1 => Just(End::Release),
    ];
    let enqueue = (
        any::<u8>(),
        prop::option::of(0..3_u8),
        prop::option::of(0..3_u8),
        any::<bool>(),
        0..4_u8,
    )
        .prop_map(|(org, lane, key, connection, delay)| Step::Enqueue {
            org,
            lane,
            key,
            connection,
            delay,
        });
    prop_oneof![
        8 => enqueue,
        6 => (any::<u8>(), prop::collection::vec(any::<u8>(), 1..6))
            .prop_map(|(process, hints)| Step::Claim { process, hints }),
        3 => claim_due(5),
        3 => any::<u8>().prop_map(|process| Step::Renew { process }),
        4 => any::<u8>().prop_map(|process| Step::Alone { process }),
        3 => any::<u8>().prop_map(|process| Step::LeaveRoom { process }),
        2 => any::<u8>().prop_map(|lease| Step::Checkpoint { lease }),
        8 => (any::<u8>(), end).prop_map(|(lease, end)| Step::Settle { lease, end }),
        1 => any::<u8>().prop_map(|job| Step::Cancel { job }),
        2 => any::<u8>().prop_map(|job| Step::Retry { job }),
        1 => any::<u8>().prop_map(|job| Step::Discard { job }),
        1 => Just(Step::Replace),
        1 => Just(Step::Disable),
        1 => Just(Step::Enable),
        1 => any::<u8>().prop_map(|process| Step::Leave { process }),
        1 => any::<u8>().prop_map(|process| Step::Crash { process }),
        4 => any::<u8>().prop_map(|process| Step::Death { process }),
        1 => Just(Step::Rescue),
        3 => (1..8_u8).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn claim_due(limit: u8) -> impl Strategy<Value = Step> {
    (
        any::<u8>(),
        1..limit,
        any::<u8>(),
        prop::option::weighted(0.2, any::<u8>()),
    )
        .prop_map(|(process, limit, after, skip)| Step::ClaimDue {
            process,
            limit,
            after,
            skip,
        })
}

/// Many orgs with many jobs, of which many are suspects, and direct claims of many.
fn crowd() -> impl Strategy<Value = Vec<Step>> {
    let job = (any::<u8>(), prop::option::weighted(0.3, 0..3_u8), 0..3_u8).prop_map(
        |(org, lane, delay)| Step::Enqueue {
            org,
            lane,
            key: None,
            connection: false,
            delay,
        },
    );
    let step = prop_oneof![
        5 => job.clone(),
        4 => (any::<u8>(), prop::collection::vec(any::<u8>(), 1..12))
            .prop_map(|(process, hints)| Step::Claim { process, hints }),
        8 => claim_due(14),
        5 => any::<u8>().prop_map(|process| Step::Death { process }),
        4 => any::<u8>().prop_map(|process| Step::Alone { process }),
        2 => any::<u8>().prop_map(|process| Step::LeaveRoom { process }),
        2 => any::<u8>().prop_map(|process| Step::Leave { process }),
        2 => any::<u8>().prop_map(|lease| Step::Settle { lease, end: End::Succeed }),
        1 => any::<u8>().prop_map(|lease| Step::Settle { lease, end: End::Retry { delay: 2 } }),
        1 => any::<u8>().prop_map(|lease| Step::Checkpoint { lease }),
        1 => (1..3_u8).prop_map(|seconds| Step::Wait { seconds }),
    ];
    let jobs = prop::collection::vec(job, 1..40);
    (jobs, prop::collection::vec(step, 1..40)).prop_map(|(mut steps, more)| {
        steps.extend(more);
        steps
    })
}

/// Cases of a run: the usual number, or `PROPTEST_CASES` for a long look.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of the test library, not of the product"
)]
pub(crate) fn cases(usual: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.map_or(usual, |cases| cases.parse().unwrap())
}

/// Runs cases on one database each. The seed is drawn anew each time, so that every run of
/// the suite looks somewhere else.
fn sequences(usual: u32, steps: &impl Strategy<Value = Vec<Step>>, orgs: usize, on_postgres: bool) {
    look(usual, steps, async |steps: Vec<Step>| {
        run::run(&steps, orgs, on_postgres).await
    });
}

/// Tries what the strategy gives. A failing value is shrunk and printed.
fn look<T: std::fmt::Debug>(
    usual: u32,
    values: &impl Strategy<Value = T>,
    check: impl AsyncFn(T) -> run::Checked,
) {
    let config = ProptestConfig {
        cases: cases(usual),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let outcome = TestRunner::new(config).run(values, |value| {
        let checked = runtime.block_on(check(value));
        checked.map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..150)
}

#[test]
fn random_sequences_on_sqlite_do_what_the_model_says() {
    sequences(40, &steps(), 3, false);
}

#[test]
fn random_sequences_on_postgres_do_what_the_model_says() {
    sequences(10, &steps(), 3, true);
}

#[test]
fn random_sequences_of_a_crowd_on_sqlite_do_what_the_model_says() {
    sequences(20, &crowd(), 6, false);
}

#[test]
fn random_sequences_of_a_crowd_on_postgres_do_what_the_model_says() {
    sequences(10, &crowd(), 6, true);
}

#[test]
fn random_sequences_with_poisons_on_sqlite_set_aside_them_and_nothing_else() {
    look(20, &poison::chances(), async |chances| {
        poison::run(chances, false).await
    });
}

#[test]
fn random_sequences_with_poisons_on_postgres_set_aside_them_and_nothing_else() {
    look(5, &poison::chances(), async |chances| {
        poison::run(chances, true).await
    });
}
