//! The query of a callback, read strictly: what a browser brings back is not trusted with
//! anything that RFC 6749 does not give it.

use url::form_urlencoded;

/// Bytes of a parameter at most; a code of the providers here has a tenth of it.
const LONGEST: usize = 4096;
/// Parameters at most: Google, the most talkative, sends seven.
const MOST: usize = 32;

/// A callback whose form is right. Nothing in it has been believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackQuery {
    /// As it was sent to the provider.
    pub state: String,
    /// The code, or the provider's refusal.
    pub answer: Answer,
    /// Who says that it answers (RFC 9207).
    pub iss: Option<String>,
    /// Every parameter, in order.
    pub pairs: Vec<(String, String)>,
}

/// What a provider sends a browser back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To be exchanged.
    Code(String),
    /// Nothing was granted.
    Refusal {
        /// A code such as `access_denied`.
        error: String,
        /// In the provider's words, which may be anybody's.
        description: Option<String>,
    },
}

/// What is wrong with it, in words that repeat nothing of it.
pub type Malformed = &'static str;

/// Reads the raw query.
///
/// # Errors
/// Its form is wrong.
pub fn read(raw: &str) -> Result<CallbackQuery, Malformed> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
        if pairs.len() == MOST || name.len() > LONGEST || value.len() > LONGEST {
            return Err("The answer is longer than an answer can be.");
        }
        // RFC 6749, section 3.1: no parameter may be there twice.
        if pairs.iter().any(|(present, _)| *present == name) {
            return Err("The answer says one thing twice.");
        }
        pairs.push((name.into_owned(), value.into_owned()));
    }
    let find = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    };
    let state = find("state").ok_or("The answer lacks its state.")?;
    if !is_visible(&state) {
        return Err("The answer's state is malformed.");
    }
    let answer = match (find("code"), find("error")) {
        (Some(code), None) if is_visible(&code) => Answer::Code(code),
        (Some(_), None) => return Err("The answer's code is malformed."),
        (None, Some(error)) if is_visible(&error) => Answer::Refusal {
            error,
            description: find("error_description").filter(|text| !text.is_empty()),
        },
        (None, Some(_)) => return Err("The answer's error is malformed."),
        (Some(_), Some(_)) => return Err("The answer says both yes and no."),
        (None, None) => return Err("The answer says neither yes nor no."),
    };
    Ok(CallbackQuery {
        state,
        answer,
        iss: find("iss"),
        pairs,
    })
}

/// One or more of `VSCHAR` (RFC 6749, appendix A): no control character, nothing beyond ASCII.
fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_or_a_refusal_with_its_state_is_read() {
        let read = super::read("code=c%2B1&state=s&iss=https%3A%2F%2Fa.example").unwrap();
        assert_eq!(read.answer, Answer::Code("c+1".into()));
        assert_eq!(read.iss.as_deref(), Some("https://a.example"));
        assert_eq!(read.pairs.len(), 3);
        let refused = super::read("error=access_denied&error_description=no&state=s").unwrap();
        let refusal = Answer::Refusal {
            error: "access_denied".into(),
            description: Some("no".into()),
        };
        assert_eq!(refused.answer, refusal);
    }

    #[test]
    fn every_other_form_is_refused() {
        let long = format!("state=s&code={}", "x".repeat(LONGEST + 1));
        let many: String = (0..40).map(|n| format!("p{n}=1&")).collect();
        for raw in [
            "",
            "code=c",
            "state=&code=c",
            "state=s",
            "state=s&code=",
            "state=s&code=a&code=b",
            "state=s&code=a&code=a",
            "state=s&state=s&code=a",
            "state=s&code=a&iss=x&iss=y",
            "state=s&code=a%0d%0ab",
            "state=s&code=a%00",
            "state=s&code=%ff",
            "state=s&code=%c3%a4",
            "state=s&code=a&error=access_denied",
            "state=s&error=",
            "state=s&error=a%0a",
            "state=%00&code=a",
            &long,
            &format!("{many}state=s&code=a"),
        ] {
            assert!(read(raw).is_err(), "{raw}");
        }
    }
}
