//! What a duty of a scheduler did, as operators read it: on the admin port and in
//! `patchbay scheduler status`.

use std::time::Duration;

use patchbay_core::store::duties::DutyStatus;
use serde_json::{Value, json};

/// As JSON.
pub fn document(duty: &DutyStatus) -> Value {
    json!({
        "duty": duty.duty,
        "last_run_at": duty.last_run_at,
        "last_success_at": duty.last_success_at,
        "took_ms": millis(duty.took),
        "late_ms": millis(duty.late),
        "behind_ms": duty.behind.map(millis),
        "runs": duty.runs,
        "done": duty.done,
        "errors": duty.errors,
        "last_error": duty.last_error,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `120 ms`, `4.2 s`, `3 min`, `5 h`.
pub fn short(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_the_unit_that_fits_it() {
        let said = [7, 1_240, 59_000, 61_000, 7_300_000]
            .map(Duration::from_millis)
            .map(short);
        assert_eq!(said, ["7 ms", "1.2 s", "59.0 s", "1 min", "2 h"]);
    }
}
