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
