//! Clock changes in both directions and in two places, and properties of every pattern.

use chrono::{TimeDelta, TimeZone, Timelike};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn times(pattern: &str, zone: &str) -> CronTimes {
    CronTimes::parse(pattern, zone).unwrap()
}

/// The ticks after a moment, as the clocks of the place show them.
fn shown(pattern: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let times = times(pattern, zone);
    let mut tick = at(after);
    let mut shown = Vec::new();
    for _ in 0..count {
        tick = times.next_after(tick).unwrap();
        shown.push(
            tick.with_timezone(&times.zone)
                .format("%m-%d %H:%M %z")
                .to_string(),
        );
    }
    shown
}

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";

#[test]
fn a_fixed_time_that_is_left_out_runs_once_at_the_end_of_the_gap() {
    assert_eq!(
        shown("30 2 * * *", BERLIN, "2026-03-28T00:00:00Z", 3),
        [
            "03-28 02:30 +0100",
            "03-29 03:00 +0200",
            "03-30 02:30 +0200"
        ]
    );
    assert_eq!(
        shown("30 2 * * *", NEW_YORK, "2026-03-07T00:00:00Z", 3),
        [
            "03-07 02:30 -0500",
            "03-08 03:00 -0400",
            "03-09 02:30 -0400"
        ]
    );
}

#[test]
fn a_fixed_time_that_comes_twice_runs_the_first_time() {
    assert_eq!(
        shown("30 2 * * *", BERLIN, "2026-10-24T00:00:00Z", 3),
        [
            "10-24 02:30 +0200",
            "10-25 02:30 +0200",
            "10-26 02:30 +0100"
        ]
    );
    assert_eq!(
        shown("30 1 * * *", NEW_YORK, "2026-10-31T00:00:00Z", 3),
        [
            "10-31 01:30 -0400",
            "11-01 01:30 -0400",
            "11-02 01:30 -0500"
        ]
    );
}

#[test]
fn a_search_from_between_the_two_hours_does_not_run_a_fixed_time_again() {
    // 02:45 of the first pass, and 02:15 of the second.
    for after in ["2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z"] {
        assert_eq!(shown("30 2 * * *", BERLIN, after, 1), ["10-26 02:30 +0100"]);
    }
}

#[test]
fn fixed_times_of_a_list_are_fixed_each() {
    assert_eq!(
        shown("30 2,14 * * *", BERLIN, "2026-03-29T00:00:00Z", 3),
        [
            "03-29 03:00 +0200",
            "03-29 14:30 +0200",
            "03-30 02:30 +0200"
        ]
    );
    assert_eq!(
        shown("0,30 2 * * *", BERLIN, "2026-10-25T00:00:00Z", 3),
        [
            "10-25 02:30 +0200",
            "10-26 02:00 +0100",
            "10-26 02:30 +0100"
        ],
        "02:00 was the moment asked from"
    );
}

#[test]
fn times_that_meet_at_the_end_of_a_gap_are_one_run() {
    assert_eq!(
        shown("0,15,30 2,3 * * *", BERLIN, "2026-03-29T00:00:00Z", 4),
        [
            "03-29 03:00 +0200",
            "03-29 03:15 +0200",
            "03-29 03:30 +0200",
            "03-30 02:00 +0200"
        ]
    );
}

#[test]
fn a_pattern_with_a_star_follows_the_clock_as_it_shows() {
    assert_eq!(
        shown("*/30 * * * *", BERLIN, "2026-03-29T00:15:00Z", 3),
        [
            "03-29 01:30 +0100",
            "03-29 03:00 +0200",
            "03-29 03:30 +0200"
        ]
    );
    assert_eq!(
        shown("*/30 * * * *", BERLIN, "2026-10-25T00:15:00Z", 4),
        [
            "10-25 02:30 +0200",
            "10-25 02:00 +0100",
            "10-25 02:30 +0100",
            "10-25 03:00 +0100"
        ]
    );
    assert_eq!(
        shown("0 * * * *", NEW_YORK, "2026-11-01T04:30:00Z", 3),
        [
            "11-01 01:00 -0400",
            "11-01 01:00 -0500",
            "11-01 02:00 -0500"
        ]
    );
    assert_eq!(
        shown("0 * * * *", NEW_YORK, "2026-03-08T06:30:00Z", 2),
        ["03-08 03:00 -0400", "03-08 04:00 -0400"]
    );
}

#[test]
fn leap_days_and_names_are_found() {
    assert_eq!(
        times("0 0 29 2 *", "UTC").next_after(at("2096-03-01T00:00:00Z")),
        Some(at("2104-02-29T00:00:00Z"))
    );
    assert_eq!(
        shown("15 9 * * MON-FRI", "UTC", "2026-11-20T10:00:00Z", 1),
        ["11-23 09:15 +0000"]
    );
    assert_eq!(
        shown("@daily", "Asia/Kathmandu", "2026-11-20T10:00:00Z", 1),
        ["11-21 00:00 +0545"]
    );
}

#[test]
fn what_is_no_pattern_or_no_place_is_told_for_each() {
    let wrong = |pattern: &str, zone: &str| CronTimes::parse(pattern, zone).unwrap_err();
    for pattern in ["", "* * * *", "0 0 2 * * *", "@reboot", "@"] {
        assert_eq!(
            wrong(pattern, "UTC"),
            (Some(CronError::Fields), None),
            "{pattern}"
        );
    }
    for pattern in [
        "61 * * * *",
        "* 25 * * *",
        "x * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
    ] {
        let (found, zone) = wrong(pattern, "UTC");
        assert!(
            matches!(found, Some(CronError::Pattern(_))) && zone.is_none(),
            "{pattern}: {found:?}"
        );
    }
    for pattern in ["0 0 30 2 *", "0 0 31 4,6 *"] {
        assert_eq!(wrong(pattern, "UTC").0, Some(CronError::Never), "{pattern}");
    }
    for zone in ["", "Berlin", "CEST+1", "../UTC"] {
        assert_eq!(wrong("0 0 * * *", zone), (None, Some(CronError::Zone)));
    }
    let both = wrong("nonsense", "nowhere");
    assert!(both.0.is_some() && both.1.is_some());
}

/// One entry of a field: `*`, a number, a range, a step, a list.
fn field(least: u32, most: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        (least..=most).prop_map(|number| number.to_string()),
        (least..=most, least..=most).prop_map(|(one, two)| format!(
            "{}-{}",
            one.min(two),
            one.max(two)
        )),
        (1..=most).prop_map(|step| format!("*/{step}")),
        (least..=most, least..=most).prop_map(|(one, two)| format!("{one},{two}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Later than asked, and the clock shows it: exactly, or, of a fixed time that the
    /// clock left out, the first moment after the gap. Nothing that matches lies between.
    #[test]
    fn the_next_tick_is_later_matches_and_is_the_first(
        minute in field(0, 59),
        hour in field(0, 23),
        month in prop_oneof![3 => Just("*".to_owned()), 1 => field(1, 12)],
        weekday in prop_oneof![3 => Just("*".to_owned()), 1 => field(0, 6)],
        zone in prop::sample::select(vec![BERLIN, NEW_YORK, "UTC", "Australia/Lord_Howe", "Africa/Casablanca"]),
        // Around every change of clocks of 2026, and anywhere.
        start in prop_oneof![
            prop::sample::select(vec!["2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z",
                "2026-03-08T06:00:00Z", "2026-11-01T05:00:00Z", "2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"])
                .prop_map(at),
            (0i64..31_536_000).prop_map(|s| at("2026-01-01T00:00:00Z") + TimeDelta::seconds(s)),
        ],
        seconds in -7_200i64..7_200,
    ) {
        let pattern = format!("{minute} {hour} * {month} {weekday}");
        let times = times(&pattern, zone);
        let after = start + TimeDelta::seconds(seconds);
        let next = times.next_after(after).unwrap();
        prop_assert!(next > after);
        let local = next.with_timezone(&times.zone);
        prop_assert!(local.second() == 0);
        let matches = times.cron.is_time_matching(&local).unwrap();
        let minute_before = (next - TimeDelta::minutes(1)).with_timezone(&times.zone);
        let ends_a_gap = local.naive_local() - minute_before.naive_local() > TimeDelta::minutes(1);
        prop_assert!(matches || (times.is_fixed && ends_a_gap), "{pattern} {zone}: {after} -> {local}");

        // The minutes between: none matches, unless it is the second pass of a fixed time.
        let mut minute = after - TimeDelta::seconds(after.timestamp().rem_euclid(60)) + TimeDelta::minutes(1);
        let end = next.min(minute + TimeDelta::days(3));
        while minute < end {
            let local = minute.with_timezone(&times.zone);
            let is_second = times.zone.from_local_datetime(&local.naive_local()).earliest() != Some(local);
            if times.cron.is_time_matching(&local).unwrap() {
                prop_assert!(times.is_fixed && is_second, "{pattern} {zone}: {after} passed over {local}");
            }
            minute += TimeDelta::minutes(1);
        }
    }
}
