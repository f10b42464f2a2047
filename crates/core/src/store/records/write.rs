//! How a batch of records is looked up and written: on PostgreSQL whole columns travel as
//! arrays in a statement of fixed text; on SQLite, which has no arrays, a row is a row of
//! values. 1,000 rows of 14 values each are a text that PostgreSQL reads for longer than
//! it writes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, FromQueryResult,
    QueryFilter, QuerySelect, Statement, Value,
    sea_query::{Expr, OnConflict},
};

use super::{Known, SeenRecord, Sighting};
use crate::{entities::record, store::StoreError};

/// Row by row, by where an id stands in the order of the primary key: only that index gives
/// this order. Asked for the id alone, a plan made while the table is empty goes through the
/// stream's other index and reads the whole stream for every row.
const KNOWN: &str = "
    select external_id, content_hash, source_version, deleted_at
    from unnest($3::text[]) as seen (id), lateral (
        select connection_id, stream, external_id, content_hash, source_version, deleted_at from records
        where (connection_id, stream, external_id) >= ($1, $2, seen.id)
        order by connection_id, stream, external_id
        limit 1) next
    where connection_id = $1 and stream = $2 and external_id = seen.id";

/// `$7` stands for no version: arrays of optional values cannot be bound. What was
/// deleted keeps its last shape: the provider's stub of it says less.
const WRITE: &str = "
    insert into records (connection_id, stream, org_id, generation, first_seen, last_changed, change_no,
                         external_id, kind, data, raw, content_hash, source_version, deleted_at)
    select $1, $2, $3, $4, $5, $5, $6 - 1 + new.place, new.external_id, new.kind, new.data::jsonb, new.raw::jsonb,
           new.content_hash, nullif(new.source_version, $7), case when new.deleted then $5 end
    from unnest($8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[], $13::bigint[], $14::boolean[])
         with ordinality
         as new (external_id, kind, data, raw, content_hash, source_version, deleted, place)
    on conflict (connection_id, stream, external_id) do update
    set kind = excluded.kind, content_hash = excluded.content_hash, source_version = excluded.source_version,
        generation = excluded.generation, change_no = excluded.change_no, last_changed = excluded.last_changed,
        deleted_at = excluded.deleted_at,
        data = case when excluded.deleted_at is null then excluded.data else records.data end,
        raw = case when excluded.deleted_at is null then excluded.raw else records.raw end";

/// No provider's version.
const NO_VERSION: i64 = i64::MIN;

/// What is known of the rows of these records.
pub(super) async fn known(
    tx: &DatabaseTransaction,
    sighting: &Sighting,
    seen: &[SeenRecord],
) -> Result<HashMap<String, Known>, StoreError> {
    let ids = seen.iter().map(|record| record.external_id.clone());
    let rows = if on_postgres(tx) {
        let values = [
            sighting.connection.into(),
            sighting.stream.as_str().into(),
            texts(ids),
        ];
        Known::find_by_statement(statement(KNOWN, values))
            .all(tx)
            .await?
    } else {
        record::Entity::find()
            .select_only()
            .columns([
                record::Column::ExternalId,
                record::Column::ContentHash,
                record::Column::SourceVersion,
                record::Column::DeletedAt,
            ])
            .filter(record::Column::ConnectionId.eq(sighting.connection))
            .filter(record::Column::Stream.eq(&sighting.stream))
            .filter(record::Column::ExternalId.is_in(ids))
            .into_model::<Known>()
            .all(tx)
            .await?
    };
    Ok(rows
        .into_iter()
        .map(|known| (known.external_id.clone(), known))
        .collect())
}

/// Gives unchanged rows the run's generation. No index holds that column, so
/// PostgreSQL can do it in place.
pub(super) async fn mark_seen(
    tx: &DatabaseTransaction,
    sighting: &Sighting,
    ids: Vec<String>,
) -> Result<(), StoreError> {
    record::Entity::update_many()
        .col_expr(record::Column::Generation, Expr::value(sighting.generation))
        .filter(record::Column::ConnectionId.eq(sighting.connection))
        .filter(record::Column::Stream.eq(&sighting.stream))
        .filter(record::Column::ExternalId.is_in(ids))
        .exec(tx)
        .await?;
    Ok(())
}

/// Writes new and changed records, numbered from `first`.
pub(super) async fn changed(
    tx: &DatabaseTransaction,
    sighting: &Sighting,
    changed: Vec<(SeenRecord, Vec<u8>)>,
    first: i64,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if on_postgres(tx) {
        let values = columns(sighting, changed, first, now);
        tx.execute_raw(statement(WRITE, values)).await?;
        return Ok(());
    }
    row_by_row(tx, sighting, changed, first, now).await
}

fn columns(
    sighting: &Sighting,
    changed: Vec<(SeenRecord, Vec<u8>)>,
    first: i64,
    now: DateTime<Utc>,
) -> [Value; 14] {
    let of = |text: fn(&SeenRecord) -> String| texts(changed.iter().map(|(seen, _)| text(seen)));
    [
        sighting.connection.into(),
        sighting.stream.as_str().into(),
        sighting.org.into(),
        sighting.generation.into(),
        now.into(),
        first.into(),
        NO_VERSION.into(),
        of(|seen| seen.external_id.clone()),
        of(|seen| seen.kind.clone()),
        of(|seen| seen.data.to_string()),
        of(|seen| seen.raw.to_string()),
        changed
            .iter()
            .map(|(_, hash)| hash.clone())
            .collect::<Vec<_>>()
            .into(),
        changed
            .iter()
            .map(|(seen, _)| seen.source_version.unwrap_or(NO_VERSION))
            .collect::<Vec<_>>()
            .into(),
        changed
            .iter()
            .map(|(seen, _)| seen.deleted)
            .collect::<Vec<_>>()
            .into(),
    ]
}

/// The same with a value for each column of each row.
async fn row_by_row(
    tx: &DatabaseTransaction,
    sighting: &Sighting,
    changed: Vec<(SeenRecord, Vec<u8>)>,
    first: i64,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let rows = changed
        .into_iter()
        .zip(first..)
        .map(|((seen, hash), change_no)| record::ActiveModel {
            connection_id: Set(sighting.connection),
            stream: Set(sighting.stream.clone()),
            external_id: Set(seen.external_id),
            org_id: Set(sighting.org),
            kind: Set(seen.kind),
            data: Set(seen.data),
            raw: Set(seen.raw),
            content_hash: Set(hash),
            source_version: Set(seen.source_version),
            generation: Set(sighting.generation),
            change_no: Set(change_no),
            first_seen: Set(now),
            last_changed: Set(now),
            deleted_at: Set(seen.deleted.then_some(now)),
        });
    let mut conflict = OnConflict::columns([
        record::Column::ConnectionId,
        record::Column::Stream,
        record::Column::ExternalId,
    ]);
    conflict.update_columns([
        record::Column::Kind,
        record::Column::ContentHash,
        record::Column::SourceVersion,
        record::Column::Generation,
        record::Column::ChangeNo,
        record::Column::LastChanged,
        record::Column::DeletedAt,
    ]);
    // What was deleted keeps its last shape: the provider's stub of it says less.
    for column in ["data", "raw"] {
        let kept = format!(
            "case when excluded.deleted_at is null then excluded.{column} else records.{column} end"
        );
        let target = if column == "data" {
            record::Column::Data
        } else {
            record::Column::Raw
        };
        conflict.value(target, Expr::cust(kept));
    }
    record::Entity::insert_many(rows)
        .on_conflict(conflict.to_owned())
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

fn on_postgres(tx: &DatabaseTransaction) -> bool {
    tx.get_database_backend() == DbBackend::Postgres
}

fn statement(sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

fn texts(texts: impl IntoIterator<Item = String>) -> Value {
    texts.into_iter().collect::<Vec<_>>().into()
}
