//! The life of a granted credential: refreshed once by whoever comes first, kept through
//! every fault that is not a refusal, ended only by a refusal, revoked when it is dropped.

mod ahead;
mod breaker;
mod desk;
mod ending;
mod faults;
mod once;
mod processes;
mod scopes;

/// One test per database.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::sync::desk::Desk::on_sqlite().await).await; })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(crate::sync::desk::Desk::on_postgres().await).await; })+
        }
    };
}
use on_both_databases;
