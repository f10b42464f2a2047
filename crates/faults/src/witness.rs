//! The database's own testimony: triggers of the test write down every move of a job, every
//! effect with the job's row as it stood at that moment, and every step of a cursor. What the
//! product says about itself is not asked.

use std::{os::unix::fs::chown, path::Path};

use anyhow::{Context, Result};
use nix::unistd::User;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
};
use uuid::Uuid;

const TABLES: &str = "
create table drill_effects (
    job_id uuid not null, step bigint not null, epoch bigint not null,
    row_epoch bigint, row_state text
);
create function drill_effect() returns trigger language plpgsql as $$
begin
    select lease_epoch, state into new.row_epoch, new.row_state from jobs where id = new.job_id;
    return new;
end $$;
create trigger drill_effect before insert on drill_effects for each row execute function drill_effect();

create table drill_moves (
    no bigint generated always as identity primary key,
    job_id uuid not null, at timestamptz not null, was text, state text not null, epoch bigint not null,
    process uuid, attempt integer not null, crashes integer not null, early boolean not null, back boolean not null,
    beside boolean not null default false
);
create function drill_move() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into drill_moves (job_id, at, state, epoch, attempt, crashes, early, back)
        values (new.id, clock_timestamp(), new.state, new.lease_epoch, new.attempt, new.crashes, false, false);
    else
        insert into drill_moves (job_id, at, was, state, epoch, process, attempt, crashes, early, back, beside)
        values (new.id, clock_timestamp(), old.state, new.state, new.lease_epoch,
                coalesce(new.leased_by, old.leased_by), new.attempt, new.crashes,
                old.state = 'queued' and new.state = 'running' and old.run_at > patchbay_now(),
                coalesce((new.progress->>'done')::bigint < (old.progress->>'done')::bigint, false),
                old.state = 'queued' and new.state = 'running' and (
                    new.crashes >= 2 and not exists (
                        select from processes room where room.id = new.leased_by and room.alone_with = new.id)
                    or exists (
                        select from jobs other where other.leased_by = new.leased_by and other.id <> new.id
                        and greatest(other.crashes, new.crashes) >= 2)));
    end if;
    return null;
end $$;
create trigger drill_born after insert on jobs for each row execute function drill_move();
create trigger drill_moved after update on jobs for each row
when (old.state <> new.state or old.lease_epoch <> new.lease_epoch
      or (new.progress->>'done')::bigint < (old.progress->>'done')::bigint)
execute function drill_move();

create table drill_cursors (
    no bigint generated always as identity primary key,
    connection_id uuid not null, stream text not null, was jsonb, is_now jsonb
);
create function drill_cursor() returns trigger language plpgsql as $$
begin
    insert into drill_cursors (connection_id, stream, was, is_now)
    values (new.connection_id, new.stream, old.cursor, new.cursor);
    return null;
end $$;
create trigger drill_cursor after update on stream_states for each row
when (old.cursor is distinct from new.cursor) execute function drill_cursor();
";

/// Makes the tables and triggers.
///
/// # Errors
/// The database refuses.
pub async fn install(database: &DatabaseConnection) -> Result<()> {
    database.execute_unprepared(TABLES).await?;
    Ok(())
}

/// A move of a job.
#[derive(Debug, Clone)]
pub struct Move {
    pub job: Uuid,
    pub was: Option<String>,
    pub state: String,
    pub epoch: i64,
    /// The system's id of the process that held it before or holds it now.
    pub process: Option<u32>,
    pub attempt: i32,
    pub crashes: i32,
    /// Claimed before it was due.
    pub early: bool,
    /// Its progress went back.
    pub back: bool,
    /// Claimed into a process where it, or what ran there, should be alone; or by one that
    /// made no room for it.
    pub beside: bool,
}

/// An effect in the database.
#[derive(Debug, Clone)]
pub struct Effect {
    pub job: Uuid,
    pub step: i64,
    pub epoch: i64,
    pub row_epoch: Option<i64>,
    pub row_state: Option<String>,
}

/// A job as it stands.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: Uuid,
    pub kind: String,
    pub state: String,
    pub attempt: i32,
    pub max_attempts: i32,
    pub crashes: i32,
    pub lane: Option<String>,
    pub key: Option<String>,
    pub epoch: i64,
    /// The run that says it succeeded.
    pub result_epoch: Option<i64>,
}

/// Everything that happened to jobs, oldest first.
///
/// # Errors
/// The database.
pub async fn moves(database: &DatabaseConnection) -> Result<Vec<Move>> {
    let sql = "select job_id, was, state, epoch, attempt, crashes, early, back, beside,
                      substring(p.host from '[0-9]+$')::bigint as process
               from drill_moves m left join processes p on p.id = m.process order by no";
    let rows = database.query_all_raw(statement(sql)).await?;
    rows.iter()
        .map(|row| {
            let process: Option<i64> = row.try_get("", "process")?;
            Ok(Move {
                job: row.try_get("", "job_id")?,
                was: row.try_get("", "was")?,
                state: row.try_get("", "state")?,
                epoch: row.try_get("", "epoch")?,
                process: process.and_then(|process| u32::try_from(process).ok()),
                attempt: row.try_get("", "attempt")?,
                crashes: row.try_get("", "crashes")?,
                early: row.try_get("", "early")?,
                back: row.try_get("", "back")?,
                beside: row.try_get("", "beside")?,
            })
        })
        .collect()
}

/// Every effect.
///
/// # Errors
/// The database.
pub async fn effects(database: &DatabaseConnection) -> Result<Vec<Effect>> {
    let sql = "select job_id, step, epoch, row_epoch, row_state from drill_effects";
    let rows = database.query_all_raw(statement(sql)).await?;
    rows.iter()
        .map(|row| {
            Ok(Effect {
                job: row.try_get("", "job_id")?,
                step: row.try_get("", "step")?,
                epoch: row.try_get("", "epoch")?,
                row_epoch: row.try_get("", "row_epoch")?,
                row_state: row.try_get("", "row_state")?,
            })
        })
        .collect()
}

/// Every job.
///
/// # Errors
/// The database.
pub async fn rows(database: &DatabaseConnection) -> Result<Vec<Row>> {
    let sql =
        "select id, kind, state, attempt, max_attempts, crashes, lane, dedupe_key, lease_epoch,
                      (result->>'epoch')::bigint as result_epoch from jobs";
    let rows = database.query_all_raw(statement(sql)).await?;
    rows.iter()
        .map(|row| {
            Ok(Row {
                id: row.try_get("", "id")?,
                kind: row.try_get("", "kind")?,
                state: row.try_get("", "state")?,
                attempt: row.try_get("", "attempt")?,
                max_attempts: row.try_get("", "max_attempts")?,
                crashes: row.try_get("", "crashes")?,
                lane: row.try_get("", "lane")?,
                key: row.try_get("", "dedupe_key")?,
                epoch: row.try_get("", "lease_epoch")?,
                result_epoch: row.try_get("", "result_epoch")?,
            })
        })
        .collect()
}

/// Jobs that have not ended.
///
/// # Errors
/// The database.
pub async fn open_jobs(database: &DatabaseConnection) -> Result<i64> {
    number(
        database,
        "select count(*) from jobs where state in ('queued', 'parked', 'running')",
    )
    .await
}

/// A number that a query answers.
///
/// # Errors
/// The database.
pub async fn number(database: &DatabaseConnection, sql: &str) -> Result<i64> {
    let row = database.query_one_raw(statement(sql)).await?;
    Ok(row.context("one row")?.try_get_by_index(0)?)
}

/// Makes an empty database, its files in that folder if one is given.
///
/// # Errors
/// The server refuses.
pub async fn make_database(admin_url: &str, name: &str, folder: Option<&Path>) -> Result<()> {
    let mut options = ConnectOptions::new(admin_url);
    options.max_connections(1).sqlx_logging(false);
    let admin = Database::connect(options).await?;
    let mut place = "";
    if let Some(folder) = folder {
        if let Some(user) = User::from_name("postgres")? {
            chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let make = format!("create tablespace small location '{}'", folder.display());
        admin.execute_unprepared(&make).await?;
        place = " tablespace small";
    }
    let make = format!("create database {name}{place}");
    admin.execute_unprepared(&make).await?;
    Ok(admin.close().await?)
}

pub fn statement(sql: &str) -> Statement {
    Statement::from_string(DbBackend::Postgres, sql.to_owned())
}
