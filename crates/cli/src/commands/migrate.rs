//! `patchbay migrate`: brings the database of a fleet to this version's tables.

use patchbay_core::config::Config;
use patchbay_migrations::{Migrator, MigratorTrait};

use crate::{
    exit::{Outcome, Stop},
    logging, output,
    serve::database,
};

pub async fn run(config: Config) -> Outcome {
    logging::start(&config)?;
    let db = database::postgres(&config, "migrate").await?;
    let pending = database::pending(&db).await.map_err(Stop::internal)?;
    Migrator::up(&db, None)
        .await
        .map_err(|error| Stop::internal(format!("a migration failed: {error}")))?;
    match pending {
        0 => output::say("The database is up to date."),
        1 => output::say("1 migration applied."),
        count => output::say(&format!("{count} migrations applied.")),
    }
}
