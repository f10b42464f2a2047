//! The numbers over each window, against a calculation that keeps every check.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{
    failure::{Failure, FailureKind},
    health::{ring::KEPT, window::Window},
    job_args::CheckReason,
    store::health::CheckResult,
};

use super::{
    clinic::{Clinic, Patient},
    on_both_databases,
};

on_both_databases!(
    numbers_over_each_window_are_those_of_the_single_checks,
    counts_of_old_days_are_forgotten,
);

/// Numbers that look random and are the same every time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

async fn record(clinic: &Clinic, results: Vec<CheckResult>) {
    let store = &clinic.ctx.store;
    let tx = store.begin().await.unwrap();
    let mut ids: Vec<_> = results.iter().map(|result| result.connection).collect();
    ids.sort_unstable();
    let held = store.lock_connections(&tx, &ids).await.unwrap();
    store.record_checks(&tx, &held, results).await.unwrap();
    tx.commit().await.unwrap();
}

fn result(patient: Patient, at: DateTime<Utc>, chance: &mut Chance) -> CheckResult {
    let failed = chance.below(5) == 0;
    let failure = failed.then(|| Failure::new(FailureKind::ProviderDown, "it is down", "wait"));
    CheckResult {
        org: patient.org,
        connection: patient.id,
        at,
        reason: CheckReason::Scheduled,
        response_ms: u32::try_from(chance.below(3_000)).unwrap(),
        failure,
        not_before: None,
    }
}

/// Passed ones: sorted response times. And seconds that passed and failed ones stand for.
fn naive(checks: &[CheckResult], from: DateTime<Utc>) -> (Vec<u32>, u32, i64, i64) {
    let (mut times, mut failed, mut up, mut down) = (Vec::new(), 0, 0, 0);
    let mut before: Option<DateTime<Utc>> = None;
    for check in checks {
        let span = before.map_or(0, |before| (check.at - before).num_seconds().min(600));
        before = Some(check.at);
        if check.at < from {
            continue;
        }
        if check.failure.is_some() {
            failed += 1;
            down += span;
        } else {
            times.push(check.response_ms);
            up += span;
        }
    }
    times.sort_unstable();
    (times, failed, up, down)
}

async fn numbers_over_each_window_are_those_of_the_single_checks(clinic: Clinic) {
    let patients = clinic.patients(2).await;
    let mut chance = Chance(7);
    let now = clinic.ctx.store.jobs().now().await.unwrap();
    // To the second, as single checks are kept; the last hours are dense, the weeks before thin.
    let now = DateTime::from_timestamp(now.timestamp(), 0).unwrap();
    let mut at = now - TimeDelta::days(32);
    let mut made: [Vec<CheckResult>; 2] = [Vec::new(), Vec::new()];
    while at < now {
        let results: Vec<CheckResult> = patients
            .iter()
            .map(|patient| result(*patient, at, &mut chance))
            .collect();
        for (of_patient, result) in made.iter_mut().zip(&results) {
            of_patient.push(result.clone());
        }
        record(&clinic, results).await;
        let dense = now - at < TimeDelta::hours(10);
        let gap: u64 = if dense { 60 } else { 10_800 };
        at += TimeDelta::seconds(i64::try_from(gap + chance.below(gap)).unwrap());
    }
    for (patient, checks) in patients.iter().zip(&made) {
        for window in Window::ALL {
            let picture = clinic.picture(*patient, window).await;
            let (times, failed, up, down) = naive(checks, picture.from);
            let tally = &picture.tally;
            let name = window.name();
            assert!(
                !times.is_empty() && failed > 0,
                "{name} has something to show"
            );
            assert_eq!(
                tally.checks as usize,
                times.len() + failed as usize,
                "{name}"
            );
            assert_eq!(tally.failed, failed, "{name}");
            assert_eq!(
                (i64::from(tally.up_s), i64::from(tally.down_s)),
                (up, down),
                "{name}"
            );
            assert_eq!(tally.longest_ms, *times.last().unwrap(), "{name}");
            for percent in [50_usize, 95] {
                let exact = f64::from(times[(times.len() * percent).div_ceil(100) - 1]);
                let told = tally.latency.percentile(u8::try_from(percent).unwrap());
                let told = f64::from(told.unwrap());
                assert!(
                    (told - exact).abs() <= exact / 16.0,
                    "{name} p{percent}: {told} for {exact}"
                );
            }
        }
        let last = clinic.picture(*patient, Window::Hour).await.last;
        assert_eq!(last.len(), KEPT);
        for (kept, made) in last.iter().zip(checks.iter().rev()) {
            assert_eq!((kept.at, kept.response_ms), (made.at, made.response_ms));
            assert_eq!(kept.failure.is_some(), made.failure.is_some());
        }
    }
}

async fn counts_of_old_days_are_forgotten(clinic: Clinic) {
    let patient = clinic.patient().await;
    let mut chance = Chance(1);
    let now = clinic.ctx.store.jobs().now().await.unwrap();
    for day in (0..20).rev() {
        for hour in 0..2 {
            let at = now - TimeDelta::days(day) - TimeDelta::hours(hour);
            record(&clinic, vec![result(patient, at, &mut chance)]).await;
        }
    }
    let before = clinic.picture(patient, Window::Month).await.tally.checks;
    let first_day = (now - TimeDelta::days(15)).date_naive();
    let store = &clinic.ctx.store;
    let forgotten = store.prune_health_days(first_day, 100).await.unwrap();
    assert!((4..=6).contains(&forgotten), "{forgotten}");
    assert_eq!(store.prune_health_days(first_day, 100).await.unwrap(), 0);
    let after = clinic.picture(patient, Window::Month).await.tally.checks;
    assert!(after < before && after >= 30, "{before} -> {after}");
}
