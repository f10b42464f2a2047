//! The vault over real databases: what opens where, rotation, and what the gates refuse.
//! Every test runs on PostgreSQL and on SQLite.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what it shares"
)]

mod ciphertext;
mod columns;
mod forget;
mod gates;
mod passes;
mod races;
mod stage;

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
