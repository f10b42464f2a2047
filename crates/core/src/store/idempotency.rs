//! `Idempotency-Key`: what a repeated request gets. The row is written in the
//! transaction of the work, so key and work are there together or not at all.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::{
    entities::idempotency_key::{ActiveModel, Column, Entity},
    ids::OrgId,
};

/// How long a key is remembered.
pub const REMEMBERED_HOURS: i64 = 24;

/// A request that may come twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The client's key.
    pub key: String,
    /// Method and path.
    pub route: String,
    /// Keyed hash of the body. Keyed, because a body may hold a secret that is easy to guess.
    pub body_hash: Vec<u8>,
}

/// What the key says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeat {
    /// Never seen; the caller does the work and then says what it made.
    First,
    /// Done before: kind and ids of what it made.
    Again(String, Vec<Uuid>),
    /// Seen with another body.
    OtherBody,
}

impl Store {
    /// Takes the key in the caller's transaction. A twin that runs at the same time
    /// waits here until the first has committed, and then finds its work.
    ///
    /// # Errors
    /// The database.
    pub async fn idempotency_take(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        asked: &Asked,
    ) -> Result<Repeat, StoreError> {
        Entity::delete_many()
            .filter(row_of(org, asked))
            .filter(Column::CreatedAt.lt(self.oldest_remembered()))
            .exec(tx)
            .await?;
        let taken = Entity::insert(ActiveModel {
            org_id: Set(org),
            key: Set(asked.key.clone()),
            route: Set(asked.route.clone()),
            body_hash: Set(asked.body_hash.clone()),
            resource_kind: Set(String::new()),
            resource_ids: Set(serde_json::json!([])),
            created_at: Set(self.clock().now()),
        })
        .on_conflict(
            OnConflict::columns([Column::OrgId, Column::Key, Column::Route])
                .do_nothing()
                .to_owned(),
        )
        .exec_without_returning(tx)
        .await?;
        if taken == 1 {
            return Ok(Repeat::First);
        }
        let Some(first) = Entity::find().filter(row_of(org, asked)).one(tx).await? else {
            return Ok(Repeat::First);
        };
        if first.body_hash != asked.body_hash {
            return Ok(Repeat::OtherBody);
        }
        let ids =
            serde_json::from_value(first.resource_ids).map_err(|error| StoreError::Unreadable {
                what: "idempotency_keys.resource_ids",
                why: error.to_string(),
            })?;
        Ok(Repeat::Again(first.resource_kind, ids))
    }

    /// Says what the first request made, in the transaction that made it.
    ///
    /// # Errors
    /// The database.
    pub async fn idempotency_made(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        asked: &Asked,
        kind: &str,
        ids: &[Uuid],
    ) -> Result<(), StoreError> {
        Entity::update_many()
            .filter(row_of(org, asked))
            .set(ActiveModel {
                resource_kind: Set(kind.to_owned()),
                resource_ids: Set(serde_json::json!(ids)),
                ..Default::default()
            })
            .exec(tx)
            .await?;
        Ok(())
    }

    /// Forgets keys that are older than [`REMEMBERED_HOURS`], at most `limit`.
    ///
    /// # Errors
    /// The database.
    pub async fn idempotency_prune(&self, limit: u64) -> Result<u64, StoreError> {
        let key = [Column::OrgId, Column::Key, Column::Route];
        let old = Entity::find()
            .select_only()
            .columns(key)
            .filter(Column::CreatedAt.lt(self.oldest_remembered()))
            .order_by_asc(Column::CreatedAt)
            .limit(limit);
        let deleted = Entity::delete_many()
            .filter(Expr::tuple(key.map(Expr::col)).in_subquery(old.into_query()))
            .exec(self.db())
            .await?;
        Ok(deleted.rows_affected)
    }

    fn oldest_remembered(&self) -> DateTime<Utc> {
        self.clock().now() - TimeDelta::hours(REMEMBERED_HOURS)
    }
}

fn row_of(org: OrgId, asked: &Asked) -> Condition {
    Condition::all()
        .add(Column::OrgId.eq(org))
        .add(Column::Key.eq(&asked.key))
        .add(Column::Route.eq(&asked.route))
}
