//! The conformance suite of the job protocol: every test runs on PostgreSQL and on
//! SQLite with the same operations. `races` and `races_of_people` need several connections that wait
//! for each other and run on PostgreSQL alone, as does `cut_short`, whose claims take several statements; `model` compares random operation sequences with
//! a small model; `states` compares `docs/job-states.md` with what the databases refuse.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it shares"
)]

mod again;
mod alone;
mod breakers;
mod claim;
mod cut_short;
mod dead;
mod enqueue;
mod fence;
mod forgetting;
mod lags;
mod lanes;
mod leases;
mod lock_order;
mod logs;
mod model;
mod park;
mod people;
mod races;
mod races_of_people;
mod rescue;
mod retention;
mod schedules;
mod settle;
mod stage;
mod states;
mod turns;
mod unknown_kinds;

/// Makes two tests of each function: one on PostgreSQL, one on SQLite.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod on_postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::stage::Stage::postgres().await).await;
            })+
        }
        mod on_sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::stage::Stage::sqlite().await).await;
            })+
        }
    };
}
pub(crate) use on_both;
