//! The sync, connection test and health check bodies against the Square stand-in,
//! on both databases: bodies are called as plain functions, with claimed jobs.

mod breaker;
mod catalog;
mod commits;
mod connection_test;
pub(crate) mod desk;
mod faults;
mod sales;

/// One test per database.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(super::super::desk::Desk::on_sqlite().await).await; })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() { super::$name(super::super::desk::Desk::on_postgres().await).await; })+
        }
    };
}
use on_both_databases;
