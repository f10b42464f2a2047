//! Channels of alerts, from the API to a receiver: secrets, signatures, refusals.

mod at_once;
mod desk;
mod quiet;
pub mod receiver;
mod refusals;
mod secrets;
mod telling;
mod waiting;

/// One test per database.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::alerts::desk::desk(false).await).await; })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(crate::alerts::desk::desk(true).await).await; })+
        }
    };
}
use on_both_databases;
