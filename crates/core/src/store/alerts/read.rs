//! Alerts as people read them, and what people do with them.

use std::{collections::HashMap, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use super::super::{Store, StoreError};
use crate::{
    alerts::{AlertKind, AlertState},
    entities::{
        alert::{ActiveModel, Column, Entity, Model},
        connection,
    },
    events::EventKind,
    ids::{AlertId, ConnectionId, OrgId},
};

/// Which alerts to read. Pages go from the open ones to those that are over, in each from
/// new to old.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    /// Only in this state.
    pub state: Option<AlertState>,
    /// Only of this kind.
    pub kind: Option<AlertKind>,
    /// Only of this connection.
    pub connection: Option<ConnectionId>,
    /// Only what comes after this place.
    pub after: Option<AlertPlace>,
}

/// Where a page ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertPlace {
    over: bool,
    id: AlertId,
}

impl AlertPlace {
    /// The place of an alert in the list.
    #[must_use]
    pub fn of(alert: &Model) -> Self {
        Self {
            over: alert.resolved_at.is_some(),
            id: alert.id,
        }
    }
}

impl fmt::Display for AlertPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.over { 'r' } else { 'o' }, self.id)
    }
}

/// A text that is no place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in the list of alerts")]
pub struct NoPlace;

impl FromStr for AlertPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (over, id) = match text.strip_prefix('o') {
            Some(id) => (false, id),
            None => (true, text.strip_prefix('r').ok_or(NoPlace)?),
        };
        let id = id.parse().map_err(|_| NoPlace)?;
        Ok(Self { over, id })
    }
}

impl Store {
    /// A page of an org's alerts.
    ///
    /// # Errors
    /// The database.
    pub async fn alerts(
        &self,
        org: OrgId,
        filter: &AlertFilter,
        limit: u64,
    ) -> Result<Vec<Model>, StoreError> {
        let mut rows = Vec::new();
        let wants_open = filter.state != Some(AlertState::Resolved);
        if wants_open && filter.after.is_none_or(|place| !place.over) {
            let query = part(org, filter, false).limit(limit);
            rows = query.all(self.db()).await?;
        }
        let more = limit.saturating_sub(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        let wants_over = matches!(filter.state, None | Some(AlertState::Resolved));
        if wants_over && more > 0 {
            let query = part(org, filter, true).limit(more);
            rows.extend(query.all(self.db()).await?);
        }
        Ok(rows)
    }

    /// Alerts of the org whose cause is there, newest first, and of `beside` those that are not
    /// among them.
    ///
    /// # Errors
    /// The database.
    pub async fn standing_alerts(
        &self,
        org: OrgId,
        limit: u64,
        beside: &[AlertId],
    ) -> Result<Vec<Model>, StoreError> {
        let query = part(org, &AlertFilter::default(), false).limit(limit);
        let mut rows = query.all(self.db()).await?;
        let mut others = beside.to_vec();
        others.retain(|id| rows.iter().all(|row| row.id != *id));
        if !others.is_empty() {
            let query = Entity::find()
                .filter(Column::OrgId.eq(org))
                .filter(Column::Id.is_in(others));
            rows.extend(query.all(self.db()).await?);
        }
        Ok(rows)
    }

    /// One alert of the org.
    ///
    /// # Errors
    /// The database.
    pub async fn alert(&self, org: OrgId, id: AlertId) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id)
            .filter(Column::OrgId.eq(org))
            .one(self.db())
            .await?)
    }

    /// The same, its row held until the transaction ends.
    ///
    /// # Errors
    /// The database.
    pub async fn lock_alert(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: AlertId,
    ) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id)
            .filter(Column::OrgId.eq(org))
            .lock_exclusive()
            .one(tx)
            .await?)
    }

    /// The provider of each of these connections of the org.
    ///
    /// # Errors
    /// The database.
    pub async fn providers_of_connections(
        &self,
        org: OrgId,
        connections: impl IntoIterator<Item = ConnectionId>,
    ) -> Result<HashMap<ConnectionId, String>, StoreError> {
        let rows: Vec<(ConnectionId, String)> = connection::Entity::find()
            .select_only()
            .columns([connection::Column::Id, connection::Column::Provider])
            .filter(connection::Column::OrgId.eq(org))
            .filter(connection::Column::Id.is_in(connections))
            .into_tuple()
            .all(self.db())
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Alerts of the org whose cause is there.
    ///
    /// # Errors
    /// The database.
    pub async fn count_open_alerts(&self, org: OrgId) -> Result<u64, StoreError> {
        Ok(Entity::find()
            .filter(Column::OrgId.eq(org))
            .filter(Column::ResolvedAt.is_null())
            .count(self.db())
            .await?)
    }

    /// A person has taken notice. The first one stays. The caller holds the row.
    ///
    /// # Errors
    /// The database.
    pub async fn acknowledge_alert(
        &self,
        tx: &DatabaseTransaction,
        alert: &Model,
        actor: &str,
    ) -> Result<(), StoreError> {
        if alert.acknowledged_at.is_some() {
            return Ok(());
        }
        let change = ActiveModel {
            id: Set(alert.id),
            acknowledged_at: Set(Some(self.clock().now())),
            acknowledged_by: Set(Some(actor.to_owned())),
            ..Default::default()
        };
        let alert = Entity::update(change).exec(tx).await?;
        self.record_alert_event(tx, &alert, EventKind::AlertAcknowledged, actor)
            .await
    }

    /// Nobody wants to be told of it before `until`; `None` ends that. The caller holds the
    /// row.
    ///
    /// # Errors
    /// The database.
    pub async fn silence_alert(
        &self,
        tx: &DatabaseTransaction,
        alert: &Model,
        until: Option<DateTime<Utc>>,
        actor: &str,
    ) -> Result<(), StoreError> {
        let change = ActiveModel {
            id: Set(alert.id),
            silenced_until: Set(until),
            silenced_by: Set(until.map(|_| actor.to_owned())),
            ..Default::default()
        };
        let alert = Entity::update(change).exec(tx).await?;
        self.record_alert_event(tx, &alert, EventKind::AlertSilenced, actor)
            .await
    }
}

/// The alerts of one half of the list, newest first.
fn part(org: OrgId, filter: &AlertFilter, over: bool) -> Select<Entity> {
    let mut query = Entity::find()
        .filter(Column::OrgId.eq(org))
        .filter(if over {
            Column::ResolvedAt.is_not_null()
        } else {
            Column::ResolvedAt.is_null()
        });
    match filter.state {
        Some(AlertState::Open) => query = query.filter(Column::AcknowledgedAt.is_null()),
        Some(AlertState::Acknowledged) => {
            query = query.filter(Column::AcknowledgedAt.is_not_null());
        }
        Some(AlertState::Resolved) | None => {}
    }
    if let Some(kind) = filter.kind {
        query = query.filter(Column::Kind.eq(kind));
    }
    if let Some(connection) = filter.connection {
        query = query.filter(Column::ConnectionId.eq(connection));
    }
    if let Some(place) = filter.after.filter(|place| place.over == over) {
        query = query.filter(Column::Id.lt(place.id));
    }
    query.order_by_desc(Column::Id)
}
