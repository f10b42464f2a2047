//! E-mails: from an action's input to the bytes that are sent. Nothing that a caller gives
//! may begin a header of its own: control characters are refused wherever a line is meant.

use chrono::{DateTime, Utc};
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use serde_json::Value;

use super::client::Settings;
use crate::{error::ProviderError, schema::FieldError};

const MAILBOX: &str = "must be an e-mail address: name@example.com, or Name <name@example.com>";
const ONE_LINE: &str = "must be one line without control characters";
const HEADER: &str = "must be `Name: value` with one of the names allowed: X-..., List-Unsubscribe, \
    List-Unsubscribe-Post, List-Id, In-Reply-To, References, Auto-Submitted, Precedence, Importance, Feedback-ID";

/// Headers that a caller may set beside those of its own (`X-`).
const HEADERS: [&str; 9] = [
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-id",
    "in-reply-to",
    "references",
    "auto-submitted",
    "precedence",
    "importance",
    "feedback-id",
];

/// Bytes of an e-mail as it is sent. Half of what the smallest common servers take.
const MOST_BYTES: usize = 5_000_000;

/// An e-mail as a caller asks for it.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) to: Vec<Mailbox>,
    pub(crate) cc: Vec<Mailbox>,
    pub(crate) bcc: Vec<Mailbox>,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: Option<String>,
    pub(crate) reply_to: Option<Mailbox>,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

/// An e-mail as it is sent.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) id: String,
    pub(crate) from: Address,
    pub(crate) recipients: Vec<Address>,
    pub(crate) bytes: Vec<u8>,
}

impl Draft {
    /// Reads the input of `send_email`.
    pub(crate) fn read(input: &Value) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let draft = Self {
            to: mailboxes(input, "to", &mut faults),
            cc: mailboxes(input, "cc", &mut faults),
            bcc: mailboxes(input, "bcc", &mut faults),
            subject: text(input, "subject").unwrap_or_default().to_owned(),
            text: text(input, "text").unwrap_or_default().to_owned(),
            html: text(input, "html").map(str::to_owned),
            reply_to: text(input, "reply_to").and_then(|text| {
                let found = mailbox(text);
                fault(&mut faults, found.is_none(), "/input/reply_to", MAILBOX);
                found
            }),
            headers: headers(input, &mut faults),
        };
        let is_line = !has_control(&draft.subject);
        fault(&mut faults, !is_line, "/input/subject", ONE_LINE);
        let nobody = input.get("to").and_then(Value::as_array);
        let nobody = nobody.is_some_and(Vec::is_empty);
        fault(&mut faults, nobody, "/input/to", "must not be empty");
        if faults.is_empty() {
            Ok(draft)
        } else {
            Err(faults)
        }
    }

    /// Writes the message. `key` is that of the effect: the same work has the same
    /// Message-ID, so that whoever gets it twice can see that.
    pub(crate) fn compose(
        self,
        settings: &Settings,
        key: &str,
        now: DateTime<Utc>,
    ) -> Result<Mail, ProviderError> {
        let from = &settings.from;
        let id = message_id(key, from.email.domain());
        let mut builder = Message::builder()
            .message_id(Some(id.clone()))
            .date(now.into())
            .from(from.clone())
            .subject(self.subject);
        let mut recipients: Vec<Address> = Vec::new();
        for mailbox in self.to.iter().chain(&self.cc).chain(&self.bcc) {
            if !recipients.contains(&mailbox.email) {
                recipients.push(mailbox.email.clone());
            }
        }
        builder = self.to.into_iter().fold(builder, |it, to| it.to(to));
        builder = self.cc.into_iter().fold(builder, |it, cc| it.cc(cc));
        if let Some(reply_to) = self.reply_to.or_else(|| settings.reply_to.clone()) {
            builder = builder.reply_to(reply_to);
        }
        for (name, value) in self.headers {
            builder = builder.raw_header(HeaderValue::new(name, value));
        }
        let message = match self.html {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(self.text, html)),
            None => builder.header(ContentType::TEXT_PLAIN).body(self.text),
        };
        let message = message.map_err(|error| {
            ProviderError::invalid(
                format!("The e-mail cannot be written: {error}."),
                "Correct what is to be sent.",
            )
        })?;
        let bytes = message.formatted();
        if bytes.len() > MOST_BYTES {
            return Err(ProviderError::invalid(
                format!("The e-mail has {} bytes, which is too long.", bytes.len()),
                "Shorten it to less than 5 MB.",
            ));
        }
        Ok(Mail {
            id,
            from: from.email.clone(),
            recipients,
            bytes,
        })
    }
}

/// A domain of another alphabet would need a server that knows it, for a name that nobody reads.
fn message_id(key: &str, domain: &str) -> String {
    let domain = if domain.is_ascii() { domain } else { "invalid" };
    format!("<{}@patchbay.{domain}>", key.replace(':', "."))
}

/// What is wrong with the input of `send_email`.
pub(crate) fn faults(input: &Value) -> Vec<FieldError> {
    Draft::read(input).err().unwrap_or_default()
}

/// The first fault of an input that was let through, as the failure of its job.
pub(crate) fn refused(faults: &[FieldError]) -> ProviderError {
    let (pointer, why) = match faults.first() {
        Some(fault) => (fault.pointer.as_str(), fault.message.as_str()),
        None => ("/input", "is wrong"),
    };
    ProviderError::invalid(format!("`{pointer}` {why}."), "Correct it and ask again.")
        .field(pointer)
}

/// Reads `name@example.com` or `Name <name@example.com>`.
pub(crate) fn mailbox(text: &str) -> Option<Mailbox> {
    if has_control(text) {
        return None;
    }
    let mailbox: Mailbox = text.trim().parse().ok()?;
    // A quoted local part may hold these; no mailbox in use does, and a command would break.
    let is_plain = !mailbox
        .email
        .to_string()
        .contains([' ', '<', '>', '"', '\\']);
    is_plain.then_some(mailbox)
}

/// Line breaks, NUL and their like, in whichever alphabet.
pub(crate) fn has_control(text: &str) -> bool {
    text.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}')
}

fn mailboxes(input: &Value, field: &str, faults: &mut Vec<FieldError>) -> Vec<Mailbox> {
    let mut found = Vec::new();
    for (index, text) in texts(input, field) {
        let read = mailbox(text);
        let pointer = format!("/input/{field}/{index}");
        fault(faults, read.is_none(), &pointer, MAILBOX);
        found.extend(read);
    }
    found
}

fn headers(input: &Value, faults: &mut Vec<FieldError>) -> Vec<(HeaderName, String)> {
    let mut found = Vec::new();
    for (index, text) in texts(input, "headers") {
        let read = header(text);
        let pointer = format!("/input/headers/{index}");
        fault(faults, read.is_none(), &pointer, HEADER);
        found.extend(read);
    }
    found
}

fn header(text: &str) -> Option<(HeaderName, String)> {
    let (name, value) = text.split_once(':')?;
    let lower = name.to_ascii_lowercase();
    let is_own = lower
        .strip_prefix("x-")
        .is_some_and(|rest| !rest.is_empty());
    let is_token = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_allowed = is_token && (is_own || HEADERS.contains(&lower.as_str()));
    let value = value.trim();
    if !is_allowed || value.is_empty() || has_control(value) {
        return None;
    }
    let name = HeaderName::new_from_ascii(name.to_owned()).ok()?;
    Some((name, value.to_owned()))
}

fn text<'v>(input: &'v Value, field: &str) -> Option<&'v str> {
    input.get(field).and_then(Value::as_str)
}

fn texts<'v>(input: &'v Value, field: &str) -> impl Iterator<Item = (usize, &'v str)> {
    let list = input.get(field).and_then(Value::as_array);
    let entries = list.into_iter().flatten().enumerate();
    entries.filter_map(|(index, entry)| Some((index, entry.as_str()?)))
}

fn fault(faults: &mut Vec<FieldError>, is_wrong: bool, pointer: &str, message: &str) {
    if is_wrong {
        faults.push(FieldError {
            pointer: pointer.into(),
            message: message.into(),
        });
    }
}
