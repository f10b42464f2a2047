//! Where keyring and database are: those that the settings name, else those of the data
//! folder of `patchbay up`, also while it runs.

use std::{path::PathBuf, sync::Arc};

use patchbay_core::{
    clock::SystemClock,
    config::{Config, Problem},
    store::Store,
    vault::KeyringFile,
};

use crate::{
    commands::key,
    exit::{Outcome, Stop},
    logging,
    serve::{database, outside},
};

/// The keyring file that the settings name, or that of the data folder.
pub fn keyring_path(config: &Config, argument: Option<PathBuf>) -> Outcome<PathBuf> {
    if let Some(path) = argument.or_else(|| config.keyring_file.clone()) {
        return Ok(path);
    }
    let own = config.data_dir.join("keyring.toml");
    if config.database_url.is_none() && own.exists() {
        return Ok(own);
    }
    Err(Stop::usage(Problem::missing(
        "keyring_file",
        "name the file, as argument or as setting",
    )))
}

/// The keyring file, locked against other changes.
pub fn keyring_file(config: &Config) -> Outcome<KeyringFile> {
    let path = keyring_path(config, None)?;
    // Refuses what workers would refuse.
    outside::keyring(&path)?;
    KeyringFile::lock(&path).map_err(Stop::usage)
}

/// The database. SQLite takes a second process while `patchbay up` runs: writers take
/// turns, and nothing here holds its turn for longer than a batch.
pub async fn store(config: &Config) -> Outcome<Store> {
    if config.database_url.is_some() {
        return key::store(config).await;
    }
    let file = config.data_dir.join("patchbay.db");
    if !file.exists() {
        return Err(Stop::usage(format!(
            "there is no database: database_url is not set, and the data folder {} has none",
            config.data_dir.display()
        )));
    }
    logging::start(config)?;
    let db = database::sqlite(&database::sqlite_url(&file)?).await?;
    if database::pending(&db).await.map_err(Stop::internal)? > 0 {
        return Err(Stop::usage(
            "the database is of an older version: start `patchbay up` of this version once",
        ));
    }
    Ok(Store::new(db, Arc::new(SystemClock)))
}
