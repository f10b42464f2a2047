//! The health that people see: what checks say, and whether the account granted what was asked
//! for. A check that passes says nothing of scopes that are missing, so a connection that lacks
//! some is shown as degraded until they are granted or the capabilities are switched off.

use serde_json::Value;

use crate::{
    connection::{Health, Shortfall},
    entities::connection,
    failure::{Failure, FailureKind, NextAction, NextActionKind},
};

/// The refused capabilities of a row that are not switched off.
#[must_use]
pub fn in_want(refused: &Value, off: &Value) -> Shortfall {
    let mut refused: Shortfall = serde_json::from_value(refused.clone()).unwrap_or_default();
    let off = off.as_array().into_iter().flatten();
    for key in off.filter_map(Value::as_str) {
        refused.remove(key);
    }
    refused
}

/// The health to show. Of what nobody knows, a grant says nothing either.
#[must_use]
pub fn shown_health(checked: Health, in_want: &Shortfall) -> Health {
    match checked {
        Health::Healthy if !in_want.is_empty() => Health::Degraded,
        Health::Healthy | Health::Unknown | Health::Degraded | Health::Failing => checked,
    }
}

impl connection::Model {
    /// Capabilities that are wanted and were not granted, each with the scopes it lacks.
    #[must_use]
    pub fn in_want(&self) -> Shortfall {
        in_want(&self.capabilities_refused, &self.capabilities_off)
    }

    /// The health that people see.
    #[must_use]
    pub fn shown_health(&self) -> Health {
        shown_health(self.health, &self.in_want())
    }

    /// Why it is not healthy, and what to do; `None` where it is, or nobody knows yet. What
    /// fails at this moment goes before what was not granted.
    #[must_use]
    pub fn health_reason(&self) -> Option<Failure> {
        let in_want = self.in_want();
        if matches!(
            shown_health(self.health, &in_want),
            Health::Healthy | Health::Unknown
        ) {
            return None;
        }
        let by_checks = matches!(self.health, Health::Degraded | Health::Failing);
        if in_want.is_empty() || (by_checks && self.error_count > 0) {
            return serde_json::from_value(self.last_error.clone()?).ok();
        }
        Some(not_granted(&in_want))
    }
}

fn not_granted(in_want: &Shortfall) -> Failure {
    let which: Vec<String> = in_want
        .iter()
        .map(|(capability, scopes)| format!("{capability} (lacks {})", scopes.join(", ")))
        .collect();
    Failure {
        next_action: Some(NextAction::of(NextActionKind::Reconnect)),
        ..Failure::new(
            FailureKind::Scope,
            format!(
                "The account did not grant all that was asked for; this does not work: {}.",
                which.join("; ")
            ),
            "Connect again and grant the rest, or switch off what is not needed.",
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_granted_keeps_a_connection_from_being_healthy() {
        let refused = json!({ "sync_sales": ["ORDERS_READ"] });
        let wanted = in_want(&refused, &json!([]));
        let table = [
            (Health::Unknown, Health::Unknown),
            (Health::Healthy, Health::Degraded),
            (Health::Degraded, Health::Degraded),
            (Health::Failing, Health::Failing),
        ];
        for (checked, shown) in table {
            assert_eq!(shown_health(checked, &wanted), shown, "{checked:?}");
            let off = in_want(&refused, &json!(["sync_sales"]));
            assert_eq!(shown_health(checked, &off), checked, "switched off");
        }
        let failure = not_granted(&wanted);
        assert_eq!(failure.what_next().kind, NextActionKind::Reconnect);
        assert!(failure.message.contains("sync_sales (lacks ORDERS_READ)"));
    }

    #[test]
    fn a_column_that_nobody_wrote_wants_nothing() {
        assert!(in_want(&json!(null), &json!(null)).is_empty());
    }
}
