//! What a person does next about a failure: the API's typed answer in the words of this
//! command line.

use patchbay_core::{
    failure::{Failure, NextAction, NextActionKind},
    ids::ConnectionId,
};

use super::time;

/// The lines that a failure has: what happened, what it means, what to do.
pub fn lines(failure: &Failure, connection: Option<ConnectionId>) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}. {}",
            failure.message.trim_end_matches('.'),
            failure.action
        )
        .trim_end()
        .to_owned(),
    ];
    lines.extend(
        failure
            .impact
            .as_ref()
            .map(|impact| format!("Impact: {impact}")),
    );
    lines.extend(next(&failure.what_next(), connection).map(|next| format!("Next: {next}")));
    lines
}

/// What to do, where there is anything.
pub fn next(action: &NextAction, connection: Option<ConnectionId>) -> Option<String> {
    let which = connection.map_or_else(|| "CONNECTION".to_owned(), |id| id.to_string());
    Some(match action.kind {
        NextActionKind::Reconnect => {
            format!("connect the account again: `patchbay connections reconnect {which}`")
        }
        NextActionKind::SetCredential => format!(
            "set a credential that works: `patchbay connections update {which} --secret FIELD=SOURCE`"
        ),
        NextActionKind::WaitUntil => match action.until {
            Some(until) => format!(
                "wait until {}; it is tried again by itself",
                time(Some(until))
            ),
            None => "wait; it is tried again by itself".to_owned(),
        },
        NextActionKind::FixField => match action.field.as_deref().map(field_name) {
            Some(field) => format!(
                "correct `{field}`: `patchbay connections update {which} --set {field}=VALUE`"
            ),
            None => "correct what was asked for, or the connection's config".to_owned(),
        },
        NextActionKind::ContactProvider => {
            "look at the account at the provider, or ask its support".to_owned()
        }
        NextActionKind::Retry => "ask for the work again".to_owned(),
        NextActionKind::ContactOperator => {
            "whoever runs Patchbay has to look: `patchbay doctor`".to_owned()
        }
        NextActionKind::None => return None,
    })
}

/// The field that a JSON pointer ends at.
fn field_name(pointer: &str) -> &str {
    pointer.rsplit('/').next().unwrap_or(pointer)
}

#[cfg(test)]
mod tests {
    use patchbay_core::failure::FailureKind;

    use super::*;

    #[test]
    fn every_action_says_what_to_do() {
        for kind in NextActionKind::ALL {
            let said = next(&NextAction::of(kind), None);
            assert_eq!(said.is_none(), kind == NextActionKind::None, "{kind:?}");
        }
    }

    #[test]
    fn a_failure_says_what_happened_what_it_means_and_what_to_do() {
        let mut failure = Failure::new(FailureKind::Invalid, "No such location.", "Correct it.");
        failure.next_action = Some(NextAction::fix("/config/location_ids"));
        failure.impact = Some("Sales stop arriving.".into());
        assert_eq!(
            lines(&failure, None),
            [
                "No such location. Correct it.",
                "Impact: Sales stop arriving.",
                "Next: correct `location_ids`: `patchbay connections update CONNECTION --set location_ids=VALUE`",
            ]
        );
    }

    #[test]
    fn a_wait_has_an_end_where_it_is_known() {
        let until = "2026-01-01T10:00:00Z".parse().unwrap();
        let said = next(&NextAction::wait_until(until), None).unwrap();
        assert_eq!(
            said,
            "wait until 2026-01-01 10:00 UTC; it is tried again by itself"
        );
    }
}
