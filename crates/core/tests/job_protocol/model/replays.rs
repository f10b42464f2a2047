//! Sequences that the random ones have failed with, shrunk and kept.

use super::{
    End,
    Step::{self, Cancel, Claim, ClaimDue, Death, Enqueue, Leave, Settle},
    run::run,
};

/// Makes two tests of each sequence: one on PostgreSQL, one on SQLite.
macro_rules! replays {
    ($($name:ident),+ $(,)?) => {
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::replay(&super::$name(), true).await;
            })+
        }
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::replay(&super::$name(), false).await;
            })+
        }
    };
}

replays! {
    an_org_behind_two_suspects_has_its_turn,
    two_orgs_with_a_suspect_ahead_share_a_claim,
}

async fn replay(steps: &[Step], on_postgres: bool) {
    if let Err(why) = run(steps, 3, on_postgres).await {
        panic!("{why}");
    }
}

fn plain(org: u8) -> Step {
    Enqueue {
        org,
        lane: None,
        key: None,
        connection: false,
        delay: 0,
    }
}

fn claim(process: u8, hints: &[u8]) -> Step {
    Claim {
        process,
        hints: hints.to_vec(),
    }
}

/// A claim of four gave one org its suspect and two jobs more, the other one job: the turn
/// that its own suspect could not use went to the first.
fn two_orgs_with_a_suspect_ahead_share_a_claim() -> Vec<Step> {
    vec![
        plain(0),
        plain(1),
        claim(0, &[0, 2]),
        Death { process: 0 },
        plain(0),
        plain(0),
        plain(1),
        plain(1),
        ClaimDue {
            process: 0,
            limit: 4,
            after: 2,
            skip: None,
        },
    ]
}

/// Of a claim of two, one turn was given to a suspect too many and lost.
fn an_org_behind_two_suspects_has_its_turn() -> Vec<Step> {
    let later = |org, lane| Enqueue {
        org,
        lane,
        key: Some(0),
        connection: lane.is_some(),
        delay: 3,
    };
    vec![
        plain(0),
        plain(0),
        plain(0),
        plain(0),
        plain(4),
        Cancel { job: 5 },
        Leave { process: 7 },
        claim(95, &[146, 219, 152]),
        Death { process: 206 },
        Death { process: 26 },
        claim(66, &[84, 187, 227]),
        Settle {
            lease: 71,
            end: End::Retry { delay: 1 },
        },
        Death { process: 112 },
        later(114, None),
        later(130, Some(0)),
        Death { process: 117 },
        ClaimDue {
            process: 66,
            limit: 2,
            after: 226,
            skip: None,
        },
    ]
}
