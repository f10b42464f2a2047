//! Circuit breakers of the fleet: a handful of rows, written only when a call failed and when
//! the first one passes again. What they mean is in [`crate::breaker`].

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect,
    prelude::Json,
    sea_query::{LockType, OnConflict},
};

use super::{Store, StoreError};
use crate::{
    breaker::Breaker,
    connection::ConnectionStatus,
    entities::{
        breaker::{ActiveModel, Column, Entity, Model},
        connection,
    },
    ids::OrgId,
};

/// A breaker with its provider and origin.
pub type Known = ((String, String), Breaker);

impl Store {
    /// All that is known, and the database's time.
    ///
    /// # Errors
    /// The database.
    pub async fn breakers(&self) -> Result<(Vec<Known>, DateTime<Utc>), StoreError> {
        let now = self.jobs().now().await?;
        let rows = Entity::find().all(self.db()).await?;
        let known = rows
            .into_iter()
            .map(|row| ((row.provider.clone(), row.origin.clone()), read(row)));
        Ok((known.collect(), now))
    }

    /// Changes one under its lock; what it is then, what the change answered, and the
    /// database's time.
    ///
    /// # Errors
    /// The database.
    pub async fn change_breaker(
        &self,
        provider: &str,
        origin: &str,
        change: impl Fn(&mut Breaker, DateTime<Utc>) -> bool + Send,
    ) -> Result<(Breaker, bool, DateTime<Utc>), StoreError> {
        let now = self.jobs().now().await?;
        let tx = self.begin().await?;
        let blank = ActiveModel {
            provider: Set(provider.to_owned()),
            origin: Set(origin.to_owned()),
            failures: Set(0),
            trips: Set(0),
            ..Default::default()
        };
        Entity::insert(blank)
            .on_conflict(
                OnConflict::columns([Column::Provider, Column::Origin])
                    .do_nothing()
                    .to_owned(),
            )
            .exec_without_returning(&tx)
            .await?;
        let row = Entity::find()
            .filter(named(provider, origin))
            .lock(LockType::NoKeyUpdate)
            .one(&tx)
            .await?;
        let before = row.map(read).unwrap_or_default();
        let mut after = before.clone();
        let answer = change(&mut after, now);
        if after != before {
            let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
            Entity::update_many()
                .set(ActiveModel {
                    failures: Set(number(after.failures)),
                    first_failed_at: Set(after.first_failed_at),
                    opened_at: Set(after.opened_at),
                    trips: Set(number(after.trips)),
                    probe_at: Set(after.probe_at),
                    reason: Set(after.reason.clone()),
                    ..Default::default()
                })
                .filter(named(provider, origin))
                .exec(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok((after, answer, now))
    }

    /// All is well again.
    ///
    /// # Errors
    /// The database.
    pub async fn forget_breaker(&self, provider: &str, origin: &str) -> Result<(), StoreError> {
        Entity::delete_many()
            .filter(named(provider, origin))
            .exec(self.db())
            .await?;
        Ok(())
    }
}

impl Store {
    /// Providers and configs of an org's connections that are not disconnected, of those
    /// providers: which hosts the org has to do with.
    ///
    /// # Errors
    /// The database.
    pub async fn configs_of_providers(
        &self,
        org: OrgId,
        providers: &[&str],
    ) -> Result<Vec<(String, Json)>, StoreError> {
        let rows = connection::Entity::find()
            .select_only()
            .columns([connection::Column::Provider, connection::Column::Config])
            .filter(connection::Column::OrgId.eq(org))
            .filter(connection::Column::Provider.is_in(providers.iter().copied()))
            .filter(connection::Column::Status.ne(ConnectionStatus::Disconnected))
            .into_tuple()
            .all(self.db());
        Ok(rows.await?)
    }
}

fn named(provider: &str, origin: &str) -> Condition {
    Condition::all()
        .add(Column::Provider.eq(provider))
        .add(Column::Origin.eq(origin))
}

fn read(row: Model) -> Breaker {
    let number = |number: i32| u32::try_from(number).unwrap_or(0);
    Breaker {
        failures: number(row.failures),
        first_failed_at: row.first_failed_at,
        opened_at: row.opened_at,
        trips: number(row.trips),
        probe_at: row.probe_at,
        reason: row.reason,
    }
}
