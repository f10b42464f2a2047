//! The checks of connections: are they made in time?

use std::time::Duration;

use patchbay_core::store::Store;

use super::Check;
use crate::serve::duty_words::short;

/// Checks that wait longer than this are late enough to tell: some connections are checked
/// every minute.
const LATE: Duration = Duration::from_secs(60);

pub async fn look(store: &Store) -> Check {
    match store.check_lag().await {
        Ok(lag) => judge(lag),
        Err(error) => Check::broken("health checks", error.to_string(), "run `patchbay migrate`"),
    }
}

fn judge(lag: Duration) -> Check {
    let found = format!("the oldest due check has waited for {}", short(lag));
    if lag > LATE {
        return Check::warning(
            "health checks",
            found,
            "is there a scheduler, and a worker whose slots of the queue `maintenance` are not all held up? \
             `patchbay scheduler status` shows whether duties are late",
        );
    }
    Check::ok("health checks", found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Status;

    #[test]
    fn checks_that_wait_for_more_than_a_minute_are_told() {
        assert_eq!(judge(Duration::from_secs(60)).status, Status::Ok);
        let late = judge(Duration::from_secs(600));
        assert_eq!(late.status, Status::Warning);
        assert!(late.found.contains("10 min"), "{}", late.found);
    }
}
