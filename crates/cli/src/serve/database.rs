//! Opening the database: SQLite in the data folder, or the PostgreSQL of a fleet.

use std::path::Path;

use patchbay_core::{
    config::{Config, DatabaseUrl, Problem},
    store::connect::{ConnectOptions, connect},
};
use patchbay_migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{patience, reach, readiness::Readiness};
use crate::exit::{Exit, Outcome, Stop};

/// Readers beside the one writer that SQLite allows.
const SQLITE_CONNECTIONS: u32 = 4;
const POSTGRES_PORT: u16 = 5432;

/// The address of a SQLite file. Its path may hold any character.
pub fn sqlite_url(path: &Path) -> Outcome<String> {
    let absolute = std::path::absolute(path)?;
    let url = Url::from_file_path(absolute).map_err(|()| {
        Stop::usage(format!(
            "{} is no path that an address can hold",
            path.display()
        ))
    })?;
    Ok(format!("sqlite{}", url.as_str().trim_start_matches("file")))
}

/// Opens a SQLite file, made where it is missing.
pub async fn sqlite(url: &str) -> Outcome<DatabaseConnection> {
    connect(url, options("up", SQLITE_CONNECTIONS))
        .await
        .map_err(Stop::internal)
}

/// The address of a fleet's database.
pub fn url(config: &Config) -> Outcome<&DatabaseUrl> {
    config.database_url.as_ref().ok_or_else(|| {
        Stop::usage(Problem::missing(
            "database_url",
            "a fleet keeps its jobs in PostgreSQL",
        ))
    })
}

/// Whether somebody listens there. The pool itself tries a refused connection again until
/// its patience ends, and could not say at once what is wrong.
async fn reach(url: &str) -> Result<(), String> {
    reach::listens("the database", url, POSTGRES_PORT).await
}

/// Opens the PostgreSQL of the settings, once.
pub async fn postgres(config: &Config, process: &str) -> Outcome<DatabaseConnection> {
    let url = url(config)?.0.expose();
    reach(url)
        .await
        .map_err(|error| Stop::new(Exit::Unreachable, error))?;
    connect(url, options(process, config.database_connections))
        .await
        .map_err(|error| Stop::new(Exit::Unreachable, error))
}

/// Opens the PostgreSQL of the settings, trying until it answers and has this version's
/// tables. `None`: asked to stop.
pub async fn wait_for(
    config: &Config,
    process: &str,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> Outcome<Option<DatabaseConnection>> {
    let url = url(config)?.0.expose();
    readiness.waiting("connecting to the database");
    let attempt = || async {
        reach(url).await?;
        let db = connect(url, options(process, config.database_connections))
            .await
            .map_err(|error| error.to_string())?;
        match pending(&db).await {
            Ok(0) => Ok(db),
            Ok(count) => Err(format!(
                "the database lacks {count} migrations: run `patchbay migrate`"
            )),
            Err(error) => Err(format!("database: {error}")),
        }
    };
    Ok(patience::until_there(stop, |why| readiness.waiting(why), attempt).await)
}

fn options(process: &str, max_connections: u32) -> ConnectOptions {
    ConnectOptions {
        max_connections,
        application_name: format!("patchbay-{process}"),
    }
}

/// How many migrations of this version the database lacks.
pub async fn pending(db: &DatabaseConnection) -> Result<usize, DbErr> {
    let applied = match Migrator::get_applied_migrations(db).await {
        Ok(applied) => applied.len(),
        // A fresh database has no table of migrations; a database that is away fails here too.
        Err(_) => {
            db.execute_unprepared("select 1").await?;
            0
        }
    };
    Ok(Migrator::migrations().len().saturating_sub(applied))
}
