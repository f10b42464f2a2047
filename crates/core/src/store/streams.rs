//! State of a connection's streams: where the next incremental sync begins, the
//! generation, and the counter that numbers changes in commit order.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use serde_json::Value;

use super::{Store, StoreError};
use crate::{
    entities::stream_state,
    ids::{ConnectionId, OrgId},
};

impl Store {
    /// The state of one stream, if it was ever synced.
    ///
    /// # Errors
    /// The database.
    pub async fn stream_state(
        &self,
        db: &impl ConnectionTrait,
        connection: ConnectionId,
        stream: &str,
    ) -> Result<Option<stream_state::Model>, StoreError> {
        Ok(
            stream_state::Entity::find_by_id((connection, stream.to_owned()))
                .one(db)
                .await?,
        )
    }

    /// The states of all streams of a connection, by name.
    ///
    /// # Errors
    /// The database.
    pub async fn stream_states(
        &self,
        org: OrgId,
        connection: ConnectionId,
    ) -> Result<Vec<stream_state::Model>, StoreError> {
        Ok(stream_state::Entity::find()
            .filter(stream_state::Column::OrgId.eq(org))
            .filter(stream_state::Column::ConnectionId.eq(connection))
            .order_by_asc(stream_state::Column::Stream)
            .all(self.db())
            .await?)
    }

    /// Begins a new generation of a stream and returns its number; makes the row at the
    /// stream's first sync.
    ///
    /// # Errors
    /// The database.
    pub async fn begin_generation(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        connection: ConnectionId,
        stream: &str,
    ) -> Result<i64, StoreError> {
        let row = stream_state::ActiveModel {
            connection_id: Set(connection),
            stream: Set(stream.to_owned()),
            org_id: Set(org),
            cursor: Set(None),
            generation: Set(1),
            change_no: Set(0),
            records: Set(0),
            last_synced_at: Set(None),
        };
        let conflict = OnConflict::columns([
            stream_state::Column::ConnectionId,
            stream_state::Column::Stream,
        ])
        .value(
            stream_state::Column::Generation,
            Expr::col((stream_state::Entity, stream_state::Column::Generation)).add(1),
        )
        .to_owned();
        stream_state::Entity::insert(row)
            .on_conflict(conflict)
            .exec_without_returning(tx)
            .await?;
        let state = self.stream_state(tx, connection, stream).await?;
        state
            .map(|state| state.generation)
            .ok_or_else(|| StoreError::Unreadable {
                what: "stream_states",
                why: "the row that was just written is not there".into(),
            })
    }

    /// Ends a sync of a stream: its new cursor, where the run brought one, and when.
    ///
    /// # Errors
    /// The database.
    pub async fn finish_stream(
        &self,
        tx: &DatabaseTransaction,
        connection: ConnectionId,
        stream: &str,
        cursor: Option<Value>,
    ) -> Result<(), StoreError> {
        let mut change = stream_state::ActiveModel {
            connection_id: Set(connection),
            stream: Set(stream.to_owned()),
            last_synced_at: Set(Some(self.clock().now())),
            ..Default::default()
        };
        if cursor.is_some() {
            change.cursor = Set(cursor);
        }
        stream_state::Entity::update(change).exec(tx).await?;
        Ok(())
    }
}
