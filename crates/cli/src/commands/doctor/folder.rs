//! The data folder of `patchbay up`: is it private, is there room, does the database
//! open?

use std::{os::unix::fs::PermissionsExt, path::Path};

use patchbay_core::config::Config;

use super::Check;
use crate::serve::database;

const OTHERS: u32 = 0o077;

pub async fn look(config: &Config) -> Vec<Check> {
    let folder = &config.data_dir;
    let mode = match std::fs::metadata(folder) {
        Ok(found) => found.permissions().mode() & 0o777,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let found = format!("{} is not there yet", folder.display());
            return vec![Check::warning(
                "data folder",
                found,
                "`patchbay up` makes it at its first start",
            )];
        }
        Err(error) => {
            let found = format!("{}: {error}", folder.display());
            return vec![Check::broken(
                "data folder",
                found,
                "run as the user that runs `patchbay up`",
            )];
        }
    };
    let private = if mode & OTHERS == 0 {
        Check::ok("data folder", format!("{} is private", folder.display()))
    } else {
        let found = format!("{} is open to others (mode {mode:o})", folder.display());
        Check::broken(
            "data folder",
            found,
            format!("run `chmod 700 {}`", folder.display()),
        )
    };
    vec![private, sqlite(&folder.join("patchbay.db")).await]
}

async fn sqlite(path: &Path) -> Check {
    if !path.exists() {
        return Check::skipped("database", "not made yet");
    }
    let opened = async {
        let db = database::sqlite(&database::sqlite_url(path)?).await?;
        database::pending(&db)
            .await
            .map_err(crate::exit::Stop::internal)
    };
    match opened.await {
        Ok(0) => Check::ok("database", format!("{} opens", path.display())),
        Ok(count) => Check::warning(
            "database",
            format!("{count} migrations are missing"),
            "the next `patchbay up` runs them",
        ),
        Err(stop) => Check::broken(
            "database",
            stop.to_string(),
            "stop Patchbay and restore a backup, or ask for help",
        ),
    }
}
