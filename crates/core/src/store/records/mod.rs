//! Records: upserted in batches inside the sync's fenced transaction, read in
//! order of change. What did not change is not rewritten; what is older than
//! what we have never replaces it; what was deleted keeps its last shape.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect, Statement, Value,
    sea_query::{Expr, ExprTrait},
};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::{Store, StoreError};
use crate::{
    entities::{record, stream_state},
    ids::{ConnectionId, OrgId},
};

mod write;

/// Records written in one statement. A row binds 14 values, and SQLite allows 32,766.
pub const RECORDS_PER_BATCH: usize = 1_000;

/// A record as a sync saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenRecord {
    /// The provider's id.
    pub external_id: String,
    /// What it is within the stream.
    pub kind: String,
    /// Unified shape.
    pub data: Json,
    /// The provider's shape.
    pub raw: Json,
    /// Grows with every change at the provider.
    pub source_version: Option<i64>,
    /// The provider says it was deleted.
    pub deleted: bool,
}

/// Of which stream, in which generation, a batch was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The tenant.
    pub org: OrgId,
    /// The connection.
    pub connection: ConnectionId,
    /// The stream.
    pub stream: String,
    /// The run's generation.
    pub generation: i64,
    /// Whether the run sees every living record: then unchanged rows get the new
    /// generation, so that those without it can be told to be gone.
    pub complete: bool,
}

/// What a batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upserted {
    /// Rows that were not there.
    pub created: u64,
    /// Rows whose content changed.
    pub updated: u64,
    /// Rows that were the same, or newer than what came.
    pub unchanged: u64,
    /// Rows that became deleted.
    pub deleted: u64,
}

/// Which records to read. Pages go by change number.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    /// Only changes after this number.
    pub after: i64,
    /// Deleted ones too.
    pub with_deleted: bool,
    /// Only this kind.
    pub kind: Option<String>,
}

/// The fence and the lane make sure that these are the rows that were counted.
const DELETE_UNSEEN: &str = "
    update records
    set deleted_at = $4, last_changed = $4, change_no = gone.number
    from (select external_id, $5 - 1 + row_number() over (order by external_id) as number
          from records
          where connection_id = $1 and stream = $2 and generation < $3 and deleted_at is null
          limit $6) gone
    where records.connection_id = $1 and records.stream = $2 and records.external_id = gone.external_id";

/// What is known of a row before a batch is written.
#[derive(FromQueryResult)]
struct Known {
    external_id: String,
    content_hash: Vec<u8>,
    source_version: Option<i64>,
    deleted_at: Option<DateTime<Utc>>,
}

/// What a seen record does to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Create,
    Update,
    Delete,
    Keep,
}

impl Store {
    /// Writes at most [`RECORDS_PER_BATCH`] records in the caller's fenced transaction.
    /// The sync's lane makes this the only writer of the stream.
    ///
    /// # Errors
    /// The database.
    pub async fn upsert_records(
        &self,
        tx: &DatabaseTransaction,
        sighting: &Sighting,
        seen: Vec<SeenRecord>,
    ) -> Result<Upserted, StoreError> {
        let seen = newest_of_each(seen);
        let known = write::known(tx, sighting, &seen).await?;
        let mut counts = Upserted::default();
        let mut living: i64 = 0;
        let mut changed = Vec::with_capacity(seen.len());
        let mut kept = Vec::new();
        for record in seen {
            let hash = content_hash(&record);
            let before = known.get(&record.external_id);
            let effect = effect(before, &record, &hash);
            match effect {
                Effect::Create => counts.created += 1,
                Effect::Update => counts.updated += 1,
                Effect::Delete => counts.deleted += 1,
                Effect::Keep => {
                    counts.unchanged += 1;
                    kept.push(record.external_id);
                    continue;
                }
            }
            let was_living = before.is_some_and(|known| known.deleted_at.is_none());
            living += i64::from(!record.deleted) - i64::from(was_living);
            changed.push((record, hash));
        }
        if !changed.is_empty() {
            let first = self
                .draw_change_numbers(tx, sighting, changed.len(), living)
                .await?;
            write::changed(tx, sighting, changed, first, self.clock().now()).await?;
        }
        if sighting.complete && !kept.is_empty() {
            write::mark_seen(tx, sighting, kept).await?;
        }
        Ok(counts)
    }

    /// After a complete run: records of older generations are gone. Marks at most
    /// `limit` of them deleted and returns how many; zero ends it.
    ///
    /// # Errors
    /// The database.
    pub async fn delete_unseen(
        &self,
        tx: &DatabaseTransaction,
        sighting: &Sighting,
        limit: u64,
    ) -> Result<u64, StoreError> {
        let count = record::Entity::find()
            .select_only()
            .column(record::Column::ExternalId)
            .filter(record::Column::ConnectionId.eq(sighting.connection))
            .filter(record::Column::Stream.eq(&sighting.stream))
            .filter(record::Column::Generation.lt(sighting.generation))
            .filter(record::Column::DeletedAt.is_null())
            .limit(limit)
            .into_tuple::<String>()
            .all(tx)
            .await?
            .len();
        if count == 0 {
            return Ok(0);
        }
        let number = i64::try_from(count).expect("at most a batch");
        let first = self
            .draw_change_numbers(tx, sighting, count, -number)
            .await?;
        let values: [Value; 6] = [
            sighting.connection.into(),
            sighting.stream.as_str().into(),
            sighting.generation.into(),
            self.clock().now().into(),
            first.into(),
            number.into(),
        ];
        tx.execute_raw(Statement::from_sql_and_values(
            tx.get_database_backend(),
            DELETE_UNSEEN,
            values,
        ))
        .await?;
        Ok(count as u64)
    }

    /// A page of records in order of change, oldest change first. A row that changes
    /// again moves to the end, so a reader that goes on from the last number it saw
    /// misses nothing.
    ///
    /// # Errors
    /// The database.
    pub async fn records(
        &self,
        org: OrgId,
        connection: ConnectionId,
        stream: &str,
        filter: &RecordFilter,
        limit: u64,
    ) -> Result<Vec<record::Model>, StoreError> {
        let mut query = record::Entity::find()
            .filter(record::Column::OrgId.eq(org))
            .filter(record::Column::ConnectionId.eq(connection))
            .filter(record::Column::Stream.eq(stream))
            .filter(record::Column::ChangeNo.gt(filter.after));
        if !filter.with_deleted {
            query = query.filter(record::Column::DeletedAt.is_null());
        }
        if let Some(kind) = &filter.kind {
            query = query.filter(record::Column::Kind.eq(kind));
        }
        Ok(query
            .order_by_asc(record::Column::ChangeNo)
            .limit(limit)
            .all(self.db())
            .await?)
    }

    /// Draws `count` numbers and returns the first. Updating the stream's row makes
    /// writers of the stream wait for each other, so numbers are committed in order.
    async fn draw_change_numbers(
        &self,
        tx: &DatabaseTransaction,
        sighting: &Sighting,
        count: usize,
        living: i64,
    ) -> Result<i64, StoreError> {
        let count = i64::try_from(count).expect("at most a batch");
        let state = stream_state::Entity::update_many()
            .col_expr(
                stream_state::Column::ChangeNo,
                Expr::col(stream_state::Column::ChangeNo).add(count),
            )
            .col_expr(
                stream_state::Column::Records,
                Expr::col(stream_state::Column::Records).add(living),
            )
            .filter(stream_state::Column::ConnectionId.eq(sighting.connection))
            .filter(stream_state::Column::Stream.eq(&sighting.stream))
            .exec_with_returning(tx)
            .await?;
        match state.first() {
            Some(state) => Ok(state.change_no - count + 1),
            None => Err(StoreError::Unreadable {
                what: "stream_states",
                why: "a sync writes records before its generation has begun".into(),
            }),
        }
    }
}

fn effect(before: Option<&Known>, seen: &SeenRecord, hash: &[u8]) -> Effect {
    let Some(before) = before else {
        return Effect::Create;
    };
    let older = matches!((before.source_version, seen.source_version), (Some(have), Some(came)) if came < have);
    if older {
        return Effect::Keep;
    }
    match (before.deleted_at.is_some(), seen.deleted) {
        (true, true) => Effect::Keep,
        (false, true) => Effect::Delete,
        (true, false) => Effect::Update,
        (false, false) if before.content_hash == hash => Effect::Keep,
        (false, false) => Effect::Update,
    }
}

/// One statement may touch a row once, and pages may overlap: the newest version of
/// each id stays, the later one where versions do not tell.
fn newest_of_each(seen: Vec<SeenRecord>) -> Vec<SeenRecord> {
    let mut position: HashMap<String, usize> = HashMap::with_capacity(seen.len());
    let mut newest: Vec<SeenRecord> = Vec::with_capacity(seen.len());
    for record in seen {
        match position.get(&record.external_id) {
            Some(&at) if record.source_version >= newest[at].source_version => newest[at] = record,
            Some(_) => {}
            None => {
                position.insert(record.external_id.clone(), newest.len());
                newest.push(record);
            }
        }
    }
    newest
}

/// SHA-256 over what a reader can see. Maps are ordered by key, so equal content has equal bytes.
fn content_hash(record: &SeenRecord) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(record.kind.as_bytes());
    for value in [&record.data, &record.raw] {
        hasher.update([0]);
        hasher.update(value.to_string());
    }
    hasher.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(id: &str, version: Option<i64>, deleted: bool) -> SeenRecord {
        SeenRecord {
            external_id: id.into(),
            kind: "item".into(),
            data: json!({ "v": version }),
            raw: json!({}),
            source_version: version,
            deleted,
        }
    }

    fn known(record: &SeenRecord) -> Known {
        Known {
            external_id: record.external_id.clone(),
            content_hash: content_hash(record),
            source_version: record.source_version,
            deleted_at: record.deleted.then_some(DateTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let have = known(&seen("a", Some(2), false));
        let came = seen("a", Some(1), false);
        assert_eq!(
            effect(Some(&have), &came, &content_hash(&came)),
            Effect::Keep
        );
        let came = seen("a", Some(3), false);
        assert_eq!(
            effect(Some(&have), &came, &content_hash(&came)),
            Effect::Update
        );
    }

    #[test]
    fn a_deleted_record_that_comes_back_is_an_update() {
        let have = known(&seen("a", Some(2), true));
        let came = seen("a", Some(2), false);
        assert_eq!(
            effect(Some(&have), &came, &content_hash(&came)),
            Effect::Update
        );
        assert_eq!(
            effect(Some(&have), &seen("a", Some(3), true), &[]),
            Effect::Keep
        );
    }

    #[test]
    fn of_the_same_id_in_one_batch_the_newest_version_stays() {
        let kept = newest_of_each(vec![
            seen("a", Some(2), false),
            seen("b", None, false),
            seen("a", Some(1), false),
        ]);
        assert_eq!(
            kept,
            vec![seen("a", Some(2), false), seen("b", None, false)]
        );
    }
}
