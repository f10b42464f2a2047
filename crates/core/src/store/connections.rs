//! Connections: made pending, active once tested, disconnected at the end.
//! Every change that depends on the present row locks it first.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, SqlErr, sea_query::LockType,
};
use serde_json::{Value, json};

pub mod consented;
mod ending;
mod revoking;
mod told;
mod working;

use super::{Store, StoreError, events::NewEvent};
use crate::{
    connection::{ConnectionStatus, Health},
    entities::{connection, credential},
    events::EventKind,
    ids::{ConnectionId, OrgId},
};

/// Minutes from one check of a connection to the next, unless a person says otherwise.
pub const DEFAULT_HEALTH_MINUTES: i32 = 5;

/// A connection to be made.
#[derive(Debug, Clone)]
pub struct NewConnection {
    /// Whose.
    pub org: OrgId,
    /// Key of the provider.
    pub provider: String,
    /// For people.
    pub name: String,
    /// Checked against the manifest's schema, without secrets.
    pub config: Value,
    /// Whether an org may have only one of this provider.
    pub exclusive: bool,
    /// Who asked.
    pub created_by: String,
}

/// What became of an insert.
#[derive(Debug, Clone, PartialEq)]
pub enum Inserted {
    /// A pending connection.
    New(Box<connection::Model>),
    /// The org has one of this exclusive provider already.
    Taken,
}

/// Which connections to read. Pages go from old to new.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFilter {
    /// Only of this provider.
    pub provider: Option<String>,
    /// Only in this state.
    pub status: Option<ConnectionStatus>,
    /// Only those after this one.
    pub after: Option<ConnectionId>,
}

/// What a passed test brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestedAccount {
    /// The provider's own id of the account.
    pub key: String,
    /// Its name.
    pub name: String,
}

impl Store {
    /// Makes a pending connection.
    ///
    /// # Errors
    /// The database. A second connection of an exclusive provider is no error but [`Inserted::Taken`];
    /// the transaction can only be rolled back then.
    pub async fn insert_connection(
        &self,
        tx: &DatabaseTransaction,
        new: NewConnection,
    ) -> Result<Inserted, StoreError> {
        let now = self.clock().now();
        let row = connection::Model {
            id: ConnectionId::new(self.clock()),
            org_id: new.org,
            provider: new.provider,
            name: new.name,
            config: new.config,
            status: ConnectionStatus::Pending,
            health: Health::Unknown,
            exclusive: new.exclusive,
            account_key: None,
            account_name: None,
            capabilities_off: json!([]),
            capabilities_refused: json!({}),
            error_count: 0,
            last_error: None,
            last_error_at: None,
            last_success_at: None,
            last_checked_at: None,
            last_synced_at: None,
            health_interval_minutes: DEFAULT_HEALTH_MINUTES,
            version: 1,
            created_by: new.created_by,
            created_at: now,
            updated_at: now,
            disconnected_at: None,
        };
        let inserted = connection::Entity::insert(connection::ActiveModel::from(row.clone()))
            .exec_without_returning(tx)
            .await;
        if let Err(error) = inserted {
            return if is_unique_violation(&error) {
                Ok(Inserted::Taken)
            } else {
                Err(error.into())
            };
        }
        let event = NewEvent::new(row.org_id, EventKind::ConnectionCreated, &row.created_by)
            .connection(row.id)
            .data(json!({ "provider": row.provider, "name": row.name }));
        self.record_event(tx, event).await?;
        Ok(Inserted::New(Box::new(row)))
    }

    /// One connection of an org.
    ///
    /// # Errors
    /// The database.
    pub async fn connection(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        id: ConnectionId,
    ) -> Result<Option<connection::Model>, StoreError> {
        Ok(connection::Entity::find_by_id(id)
            .filter(connection::Column::OrgId.eq(org))
            .one(db)
            .await?)
    }

    /// The connection of an exclusive provider that is not disconnected.
    ///
    /// # Errors
    /// The database.
    pub async fn live_connection_of(
        &self,
        org: OrgId,
        provider: &str,
    ) -> Result<Option<connection::Model>, StoreError> {
        Ok(connection::Entity::find()
            .filter(connection::Column::OrgId.eq(org))
            .filter(connection::Column::Provider.eq(provider))
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .one(self.db())
            .await?)
    }

    /// Whether any org has this account of a provider connected by a grant to this OAuth
    /// client that still lives. Connected by another client, or by a secret, it is not touched
    /// by what becomes of this one's grants.
    ///
    /// # Errors
    /// The database.
    pub async fn account_is_connected(
        &self,
        provider: &str,
        account_key: &str,
        client_id: &str,
    ) -> Result<bool, StoreError> {
        let granted = credential::Entity::find()
            .select_only()
            .column(credential::Column::ConnectionId)
            .filter(credential::Column::ClientId.eq(client_id))
            .filter(credential::Column::RevokedAt.is_null())
            .filter(credential::Column::RefusedAt.is_null())
            .into_query();
        let connected = [
            ConnectionStatus::Active,
            ConnectionStatus::Error,
            ConnectionStatus::Disabled,
        ];
        Ok(connection::Entity::find()
            .filter(connection::Column::Provider.eq(provider))
            .filter(connection::Column::AccountKey.eq(account_key))
            .filter(connection::Column::Status.is_in(connected))
            .filter(connection::Column::Id.in_subquery(granted))
            .one(self.db())
            .await?
            .is_some())
    }

    /// One connection, its row held until the transaction ends. Parking, unparking and
    /// replacing a credential all hold it, so they cannot pass each other.
    ///
    /// # Errors
    /// The database.
    pub async fn lock_connection(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: ConnectionId,
    ) -> Result<Option<connection::Model>, StoreError> {
        Ok(connection::Entity::find_by_id(id)
            .filter(connection::Column::OrgId.eq(org))
            .lock(LockType::NoKeyUpdate)
            .one(tx)
            .await?)
    }

    /// A page of an org's connections, oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn connections(
        &self,
        org: OrgId,
        filter: &ConnectionFilter,
        limit: u64,
    ) -> Result<Vec<connection::Model>, StoreError> {
        let mut query = connection::Entity::find().filter(connection::Column::OrgId.eq(org));
        if let Some(provider) = &filter.provider {
            query = query.filter(connection::Column::Provider.eq(provider));
        }
        if let Some(status) = filter.status {
            query = query.filter(connection::Column::Status.eq(status));
        }
        if let Some(after) = filter.after {
            query = query.filter(connection::Column::Id.gt(after));
        }
        Ok(query
            .order_by_asc(connection::Column::Id)
            .limit(limit)
            .all(self.db())
            .await?)
    }

    /// Ids and providers of the org's connections in these states, in the order of their ids.
    ///
    /// # Errors
    /// The database.
    pub async fn connection_keys(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        states: &[ConnectionStatus],
    ) -> Result<Vec<(ConnectionId, String)>, StoreError> {
        Ok(connection::Entity::find()
            .select_only()
            .columns([connection::Column::Id, connection::Column::Provider])
            .filter(connection::Column::OrgId.eq(org))
            .filter(connection::Column::Status.is_in(states.iter().copied()))
            .order_by_asc(connection::Column::Id)
            .into_tuple()
            .all(tx)
            .await?)
    }

    /// Writes the columns that are set in `change` and moves `version` on. The caller
    /// holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn update_connection(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        mut change: connection::ActiveModel,
    ) -> Result<connection::Model, StoreError> {
        change.id = Set(row.id);
        change.version = Set(row.version + 1);
        change.updated_at = Set(self.clock().now());
        let updated = connection::Entity::update(change).exec(tx).await?;
        let planned = |row: &connection::Model| (row.status, row.health_interval_minutes);
        if planned(&updated) != planned(row) {
            self.plan_checks(tx, &updated).await?;
        }
        Ok(updated)
    }

    /// A test passed: the connection works, with this account. The caller holds the row
    /// and has made the tested credential current. What its grant lacks stays written: of
    /// that a test says nothing.
    ///
    /// # Errors
    /// The database.
    pub async fn activate_connection(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        config: Value,
        account: &TestedAccount,
        actor: &str,
    ) -> Result<connection::Model, StoreError> {
        let now = self.clock().now();
        let updated = self
            .update_connection(
                tx,
                row,
                connection::ActiveModel {
                    config: Set(config),
                    status: Set(if row.status == ConnectionStatus::Disabled {
                        row.status
                    } else {
                        ConnectionStatus::Active
                    }),
                    health: Set(Health::Healthy),
                    account_key: Set(Some(account.key.clone())),
                    account_name: Set(Some(account.name.clone())),
                    error_count: Set(0),
                    last_success_at: Set(Some(now)),
                    last_checked_at: Set(Some(now)),
                    ..Default::default()
                },
            )
            .await?;
        self.forget_outcomes(tx, row.id).await?;
        let event = NewEvent::new(row.org_id, EventKind::ConnectionActivated, actor)
            .connection(row.id)
            .data(json!({ "account": account.name }));
        self.record_event(tx, event).await?;
        // That it is healthy is said by that event; that it is not needs another.
        if let Some(why) = updated.health_reason() {
            self.tell_health(tx, row, &updated, Some(&why), actor)
                .await?;
        }
        Ok(updated)
    }

    /// Switches a connection off or on. Off parks its waiting jobs; on is for the caller to
    /// follow with `unpark`. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn set_enabled(
        &self,
        tx: &DatabaseTransaction,
        row: &connection::Model,
        enabled: bool,
        actor: &str,
    ) -> Result<connection::Model, StoreError> {
        let (status, kind) = if enabled {
            // Never tested with success: switching it on again does not make it work.
            let tested = row.account_key.is_some();
            (
                if tested {
                    ConnectionStatus::Active
                } else {
                    ConnectionStatus::Pending
                },
                EventKind::ConnectionEnabled,
            )
        } else {
            (ConnectionStatus::Disabled, EventKind::ConnectionDisabled)
        };
        let change = connection::ActiveModel {
            status: Set(status),
            ..Default::default()
        };
        let updated = self.update_connection(tx, row, change).await?;
        self.record_event(
            tx,
            NewEvent::new(row.org_id, kind, actor).connection(row.id),
        )
        .await?;
        Ok(updated)
    }
}

fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
