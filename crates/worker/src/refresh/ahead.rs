//! When a grant is refreshed before anybody needs it.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::ids::ConnectionId;

/// When to refresh a grant that ends then, ahead of its end: in the last fifth to tenth of
/// its life, a place of its own for each connection, so that what was granted at one time
/// is not refreshed at one time.
#[must_use]
pub fn due_ahead(
    connection: ConnectionId,
    now: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    let end = expires_at?;
    let life = (end - now).max(TimeDelta::zero());
    // Thousandths of the life: 800 to 900, by the random bits of the id.
    let share = 800 + i32::try_from(connection.0.as_u128() % 101).unwrap_or(0);
    Some(now + life / 1_000 * share)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use patchbay_core::clock::SystemClock;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn ids(count: usize) -> Vec<ConnectionId> {
        (0..count)
            .map(|_| ConnectionId::new(&SystemClock))
            .collect()
    }

    #[test]
    fn a_grant_is_refreshed_in_the_last_fifth_to_tenth_of_its_life() {
        for life in [
            TimeDelta::seconds(1),
            TimeDelta::minutes(30),
            TimeDelta::days(30),
        ] {
            for id in ids(500) {
                let due = due_ahead(id, NOW, Some(NOW + life)).unwrap() - NOW;
                assert!(due >= life * 8 / 10, "{due} of {life}");
                assert!(due <= life * 9 / 10, "{due} of {life}");
            }
        }
    }

    #[test]
    fn what_was_granted_at_one_time_is_not_refreshed_at_one_time() {
        let end = Some(NOW + TimeDelta::hours(1));
        let ids = ids(1_000);
        let due: BTreeSet<_> = ids.iter().map(|id| due_ahead(*id, NOW, end)).collect();
        // 101 places; a thousand random ones leave out but a few.
        assert!(due.len() > 80, "{}", due.len());
        assert_eq!(due_ahead(ids[0], NOW, end), due_ahead(ids[0], NOW, end));
    }

    #[test]
    fn without_an_end_nothing_is_due_and_what_has_ended_is_due_now() {
        let id = ids(1)[0];
        assert_eq!(due_ahead(id, NOW, None), None);
        let ended = Some(NOW - TimeDelta::hours(1));
        assert_eq!(due_ahead(id, NOW, ended), Some(NOW));
    }
}
