//! The data folder of `patchbay up`: is it private, is there room, does the database
//! open?

use std::{os::unix::fs::PermissionsExt, path::Path};

use patchbay_core::{clock::SystemClock, config::Config, store::Store};

use super::Check;
use crate::{exit::Stop, serve::database};

const OTHERS: u32 = 0o077;

/// What was found, and the store where it can be used.
pub async fn look(config: &Config) -> (Vec<Check>, Option<Store>) {
    let folder = &config.data_dir;
    let mode = match std::fs::metadata(folder) {
        Ok(found) => found.permissions().mode() & 0o777,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let found = format!("{} is not there yet", folder.display());
            let advice = "`patchbay up` makes it at its first start";
            return (vec![Check::warning("data folder", found, advice)], None);
        }
        Err(error) => {
            let found = format!("{}: {error}", folder.display());
            let advice = "run as the user that runs `patchbay up`";
            return (vec![Check::broken("data folder", found, advice)], None);
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
    let (database, store) = sqlite(&folder.join("patchbay.db")).await;
    (vec![private, database], store)
}

async fn sqlite(path: &Path) -> (Check, Option<Store>) {
    if !path.exists() {
        return (Check::skipped("database", "not made yet"), None);
    }
    let opened = async {
        let db = database::sqlite(&database::sqlite_url(path)?).await?;
        let pending = database::pending(&db).await.map_err(Stop::internal)?;
        Ok::<_, Stop>((db, pending))
    };
    match opened.await {
        Ok((db, 0)) => (
            Check::ok("database", format!("{} opens", path.display())),
            Some(Store::new(db, std::sync::Arc::new(SystemClock))),
        ),
        Ok((_, count)) => (
            Check::warning(
                "database",
                format!("{count} migrations are missing"),
                "the next `patchbay up` runs them",
            ),
            None,
        ),
        Err(stop) => (
            Check::broken(
                "database",
                stop.to_string(),
                "stop Patchbay and do what the line above says",
            ),
            None,
        ),
    }
}
