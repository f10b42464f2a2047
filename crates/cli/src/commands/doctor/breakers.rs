//! The circuit breakers: does every provider answer?

use patchbay_core::{breaker::Breaker, store::Store};

use super::Check;

pub async fn look(store: &Store) -> Check {
    match store.breakers().await {
        Ok((rows, _)) => judge(&rows),
        Err(error) => Check::broken("providers", error.to_string(), "run `patchbay migrate`"),
    }
}

fn judge(rows: &[((String, String), Breaker)]) -> Check {
    let silent: Vec<String> = rows
        .iter()
        .filter_map(|((_, origin), row)| {
            let since = row.opened_at?.format("%Y-%m-%d %H:%M UTC");
            let reason = row.reason.as_deref().unwrap_or("no answer");
            Some(format!("{origin} since {since} ({reason})"))
        })
        .collect();
    if silent.is_empty() {
        return Check::ok("providers", "none is left alone");
    }
    Check::warning(
        "providers",
        format!(
            "left alone because they do not answer: {}",
            silent.join("; ")
        ),
        "their jobs wait and go on by themselves; look at the providers' status pages and at this network",
    )
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::commands::doctor::Status;

    #[test]
    fn a_host_that_is_left_alone_is_told_and_one_that_stumbled_is_not() {
        let row = |opened_at| {
            let row = Breaker {
                failures: 3,
                opened_at,
                ..Breaker::default()
            };
            [(("square".to_owned(), "https://a.example".to_owned()), row)]
        };
        assert_eq!(judge(&row(None)).status, Status::Ok);
        let told = judge(&row(Some(DateTime::UNIX_EPOCH)));
        assert_eq!(told.status, Status::Warning);
        assert!(
            told.found.contains("https://a.example since 1970"),
            "{}",
            told.found
        );
    }
}
