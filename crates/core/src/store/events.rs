//! The activity log: written in the transaction of what it tells.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use serde_json::{Value, json};

use super::{Store, StoreError};
use crate::{
    entities::event,
    events::EventKind,
    ids::{ConnectionId, EventId, JobId, OrgId},
};

/// A line to be written. Never holds a secret.
#[derive(Debug, Clone)]
pub struct NewEvent {
    org: OrgId,
    kind: EventKind,
    actor: String,
    connection: Option<ConnectionId>,
    job: Option<JobId>,
    data: Value,
}

impl NewEvent {
    /// What happened, to whom, by whom (`api_key:<id>`, `system`).
    #[must_use]
    pub fn new(org: OrgId, kind: EventKind, actor: impl Into<String>) -> Self {
        Self {
            org,
            kind,
            actor: actor.into(),
            connection: None,
            job: None,
            data: json!({}),
        }
    }

    /// The connection it is about.
    #[must_use]
    pub fn connection(mut self, id: ConnectionId) -> Self {
        self.connection = Some(id);
        self
    }

    /// The job it is about.
    #[must_use]
    pub fn job(mut self, id: JobId) -> Self {
        self.job = Some(id);
        self
    }

    /// What else a reader wants to know.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.data = data;
        self
    }
}

/// Which lines to read. Pages go from new to old.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of this connection.
    pub connection: Option<ConnectionId>,
    /// Only of this job.
    pub job: Option<JobId>,
    /// Only this kind.
    pub kind: Option<EventKind>,
    /// Only lines older than this one.
    pub before: Option<EventId>,
}

impl Store {
    /// Writes a line in the caller's transaction.
    ///
    /// # Errors
    /// The database.
    pub async fn record_event(
        &self,
        tx: &DatabaseTransaction,
        event: NewEvent,
    ) -> Result<EventId, StoreError> {
        let id = EventId::new(self.clock());
        event::Entity::insert(event::ActiveModel {
            id: Set(id),
            org_id: Set(event.org),
            kind: Set(event.kind),
            actor: Set(event.actor),
            connection_id: Set(event.connection),
            job_id: Set(event.job),
            data: Set(event.data),
            at: Set(self.clock().now()),
        })
        .exec_without_returning(tx)
        .await?;
        Ok(id)
    }

    /// One line of the org.
    ///
    /// # Errors
    /// The database.
    pub async fn event(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        id: EventId,
    ) -> Result<Option<event::Model>, StoreError> {
        Ok(event::Entity::find_by_id(id)
            .filter(event::Column::OrgId.eq(org))
            .one(db)
            .await?)
    }

    /// A page of an org's lines, newest first.
    ///
    /// # Errors
    /// The database.
    pub async fn events(
        &self,
        org: OrgId,
        filter: &EventFilter,
        limit: u64,
    ) -> Result<Vec<event::Model>, StoreError> {
        let mut query = event::Entity::find().filter(event::Column::OrgId.eq(org));
        if let Some(connection) = filter.connection {
            query = query.filter(event::Column::ConnectionId.eq(connection));
        }
        if let Some(job) = filter.job {
            query = query.filter(event::Column::JobId.eq(job));
        }
        if let Some(kind) = filter.kind {
            query = query.filter(event::Column::Kind.eq(kind));
        }
        if let Some(before) = filter.before {
            query = query.filter(event::Column::Id.lt(before));
        }
        Ok(query
            .order_by_desc(event::Column::Id)
            .limit(limit)
            .all(self.db())
            .await?)
    }
}
