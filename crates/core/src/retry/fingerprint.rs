//! What dead jobs have in common: the same failure of the same work, whatever ids, times and
//! numbers its words carry. The store puts kind of job and provider in front.

use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// Class and fingerprint of a failure: `provider_down:1f0c2a9b`.
#[must_use]
pub fn of(failure: &Failure) -> String {
    let mut hash = Sha256::new();
    hash.update(failure.code.as_deref().unwrap_or_default().as_bytes());
    hash.update([0]);
    hash.update(normalised(&failure.message).as_bytes());
    let short: String = hash.finalize()[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{}:{short}", failure.kind.name())
}

/// Words only. A word with a digit in it is an id, a time, a number or an amount, and a
/// quoted text is somebody's data; each becomes `#`.
fn normalised(message: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for piece in unquoted(message).split(|c: char| !is_of_word(c)) {
        let word = match piece {
            piece if !piece.contains(|c: char| c.is_alphanumeric() || c == '#') => continue,
            piece if is_data(piece) => "#".to_owned(),
            piece => piece.to_lowercase(),
        };
        // "11:48:38" and "11:48" are one thing, however many pieces they have.
        if word != "#" || words.last().is_none_or(|last| last != "#") {
            words.push(word);
        }
    }
    words.join(" ")
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '#' | '_' | '-')
}

fn is_data(piece: &str) -> bool {
    piece.contains(|c: char| c.is_numeric() || c == '#')
        // Ids without a digit: long, and in no alphabet of a language's.
        || (piece.len() >= 16 && piece.contains(char::is_uppercase) && piece.contains(char::is_lowercase))
}

fn unquoted(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut within: Option<char> = None;
    for c in message.chars() {
        match within {
            Some(end) if c == end => within = None,
            Some(_) => {}
            None if matches!(c, '`' | '"' | '“') => {
                within = Some(if c == '“' { '”' } else { c });
                text.push_str(" # ");
            }
            None => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    fn print(message: &str) -> String {
        of(&Failure::new(FailureKind::ProviderDown, message, "wait"))
    }

    #[test]
    fn ids_times_and_numbers_make_no_difference() {
        let one =
            print("Order 7f3K of 2026-11-20T11:48:38Z: no answer within 30s from `a.example`");
        for same in [
            "Order ZZ9 of 2025-01-01 00:00: no answer within 5s from `b.example`",
            "order 12345 of 1999-12-31T23:59:59.123+02:00 - no answer within 120s from \"c\"",
        ] {
            assert_eq!(print(same), one, "{same}");
        }
        assert!(one.starts_with("provider_down:"), "{one}");
    }

    #[test]
    fn other_words_another_class_or_another_code_make_another_group() {
        let one = Failure::new(FailureKind::Invalid, "the name is empty", "fix it");
        let mut code = one.clone();
        code.code = Some("BAD_NAME".into());
        let class = Failure {
            kind: FailureKind::Conflict,
            ..one.clone()
        };
        let words = Failure::new(FailureKind::Invalid, "the price is empty", "fix it");
        let all: std::collections::HashSet<_> = [&one, &code, &class, &words].map(of).into();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn an_unclosed_quote_hides_only_what_follows_it() {
        assert_eq!(normalised("cannot read `x"), "cannot read #");
        assert_eq!(normalised(""), "");
    }
}
