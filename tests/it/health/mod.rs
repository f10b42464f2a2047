//! Checks by the clock: due connections, batches, what is shown and counted, on both
//! databases and with a moved clock. Bodies are called as plain functions, with claimed jobs.

mod batches;
mod clinic;
mod due;
mod numbers;
mod retention;
mod silence;
mod standin;
mod verdicts;

/// One test per database.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() {
                super::$name(super::super::clinic::Clinic::on_sqlite().await).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() {
                super::$name(super::super::clinic::Clinic::on_postgres().await).await;
            })+
        }
    };
}
use on_both_databases;
