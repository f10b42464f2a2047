//! By how much the ticks of a connection are late on purpose.

use uuid::Uuid;

use crate::ids::{ConnectionId, OrgId};

/// Seconds from a tick to the moment it is due: always the same for a connection, below
/// `spread`, and spread evenly over organizations and their connections. The schedules of
/// one connection keep step with each other.
#[must_use]
pub fn of(org: OrgId, connection: ConnectionId, spread: i64) -> i64 {
    let Some(spread) = u64::try_from(spread).ok().filter(|spread| *spread > 0) else {
        return 0;
    };
    let mixed = mix(folded(org.0) ^ mix(folded(connection.0)));
    i64::try_from(mixed % spread).unwrap_or(0)
}

fn folded(id: Uuid) -> u64 {
    let (high, low) = id.as_u64_pair();
    high ^ low
}

/// The finalizer of splitmix64 (<https://prng.di.unimi.it/splitmix64.c>): ids of one
/// millisecond differ in few bits, their jitters must not. Never change it: every
/// schedule of a deployment would move.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn jitter_is_below_its_spread_and_always_the_same() {
        for _ in 0..1_000 {
            let (org, connection) = (OrgId::new(&SystemClock), ConnectionId::new(&SystemClock));
            for spread in [1, 60, 3_600] {
                let jitter = of(org, connection, spread);
                assert!((0..spread).contains(&jitter));
                assert_eq!(jitter, of(org, connection, spread));
            }
        }
        let known = |text: &str| Uuid::parse_str(text).unwrap();
        let org = OrgId(known("019ab2c3-7d4e-7f00-8000-000000000001"));
        let connection = ConnectionId(known("019ab2c3-7d4e-7f00-8000-000000000002"));
        assert_eq!(
            of(org, connection, 3_600),
            357,
            "schedules of a deployment must stay where they are"
        );
        assert_eq!(of(org, connection, 0), 0);
    }

    #[test]
    fn orgs_and_their_connections_are_spread_over_the_whole_time() {
        let orgs: Vec<OrgId> = (0..100).map(|_| OrgId::new(&SystemClock)).collect();
        let mut seen = [0_u32; 60];
        for org in &orgs {
            for _ in 0..60 {
                let jitter = of(*org, ConnectionId::new(&SystemClock), 60);
                seen[usize::try_from(jitter).unwrap()] += 1;
            }
        }
        // 100 expected in each; ten standard deviations are 100.
        assert!(
            seen.iter().all(|count| (1..=200).contains(count)),
            "{seen:?}"
        );
    }
}
