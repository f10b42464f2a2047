//! The database of a fleet: does it answer, has it this version's tables, do the
//! clocks agree?

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{
    clock::{Clock, SystemClock},
    config::Config,
    store::Store,
};
use sea_orm::DatabaseConnection;

use super::{Check, Status};
use crate::serve::database;

/// Ids carry the process's time and leases the database's: a few seconds apart do no
/// harm, but make logs hard to read.
const CLOCKS_APART: TimeDelta = TimeDelta::seconds(2);

/// What was found, and the store where it can be used.
pub async fn look(config: &Config) -> (Vec<Check>, Option<Store>) {
    if let Err(missing) = database::url(config) {
        let advice = "set it; without one, `patchbay up` keeps everything in its data folder";
        return (
            vec![Check::broken("database", missing.to_string(), advice)],
            None,
        );
    }
    let db = match database::postgres(config, "doctor").await {
        Ok(db) => db,
        Err(stop) => {
            let advice =
                "is the server running and reachable from here, and do name and password fit?";
            return (
                vec![Check::broken("database", stop.to_string(), advice)],
                None,
            );
        }
    };
    let migrations = migrations(&db).await;
    let store = Store::new(db, std::sync::Arc::new(SystemClock));
    let is_usable = migrations.status == Status::Ok;
    let checks = vec![
        Check::ok("database", "answers"),
        migrations,
        clock(&store).await,
    ];
    (checks, is_usable.then_some(store))
}

async fn migrations(db: &DatabaseConnection) -> Check {
    match database::pending(db).await {
        Ok(0) => Check::ok("migrations", "up to date"),
        Ok(count) => Check::broken(
            "migrations",
            format!("{count} are missing"),
            "run `patchbay migrate`",
        ),
        Err(error) => Check::broken(
            "migrations",
            error.to_string(),
            "may this user read the tables?",
        ),
    }
}

async fn clock(store: &Store) -> Check {
    let before = SystemClock.now();
    match store.jobs().now().await {
        Ok(theirs) => apart(theirs, before, SystemClock.now()),
        Err(error) => Check::broken("clock", error.to_string(), "run `patchbay migrate`"),
    }
}

fn apart(theirs: DateTime<Utc>, before: DateTime<Utc>, after: DateTime<Utc>) -> Check {
    let ours = before + (after - before) / 2;
    let apart = (theirs - ours).abs();
    let found = format!("{} ms from the database's", apart.num_milliseconds());
    if apart <= CLOCKS_APART {
        Check::ok("clock", found)
    } else {
        Check::warning("clock", found, "set both machines by a time server (NTP)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_far_apart_are_a_warning() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(
            apart(now + TimeDelta::milliseconds(1_999), now, now).status,
            Status::Ok
        );
        assert_eq!(
            apart(now - TimeDelta::seconds(3), now, now).status,
            Status::Warning
        );
    }
}
