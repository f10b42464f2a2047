//! Checks of connections: which are due, what they came to, and the numbers made of them.
//! How a check is judged and counted is in [`crate::health`]; here is what is stored.
//!
//! Order of locks: the connection's row, the job's fence, then `connection_health` rows in
//! the order of their ids.

mod due;
mod log;
mod read;
mod record;
mod retention;
mod ticking;
mod write;

use std::fmt;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement, Value,
};

pub use self::{
    due::{DueCheck, DueChecks, MOST_MINUTES},
    read::{HealthPicture, Recent, Stretch},
    record::{CheckResult, HealthChange},
    ticking::{BATCH_TIMEOUT, IN_A_BATCH, TickedChecks},
};
use super::{Store, StoreError};
use crate::{entities::connection_health, ids::ConnectionId};

impl Store {
    /// When and how connections were last checked, for jobs that are about to check them.
    ///
    /// # Errors
    /// The database.
    pub async fn check_states(
        &self,
        connections: &[ConnectionId],
    ) -> Result<Vec<connection_health::Model>, StoreError> {
        Ok(connection_health::Entity::find()
            .filter(connection_health::Column::ConnectionId.is_in(connections.iter().copied()))
            .all(self.db())
            .await?)
    }
}

fn on_postgres(db: &impl ConnectionTrait) -> bool {
    db.get_database_backend() == DbBackend::Postgres
}

fn postgres(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

fn uuids(ids: impl IntoIterator<Item = ConnectionId>) -> Value {
    ids.into_iter().map(|id| id.0).collect::<Vec<_>>().into()
}

/// Packed numbers that cannot be read begin anew: a damaged row must not keep a connection
/// from being checked.
fn readable<T: Default>(what: &str, connection: impl fmt::Display, read: Option<T>) -> T {
    read.unwrap_or_else(|| {
        tracing::error!(what, %connection, "packed health numbers cannot be read and begin anew");
        T::default()
    })
}
