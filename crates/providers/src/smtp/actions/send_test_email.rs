//! Action `send_test_email`: one short e-mail that shows that all of it works.

use serde_json::Value;

use super::{
    super::{
        client::Settings,
        shape::{Draft, mailbox, refused},
    },
    send_email::send,
};
use crate::{error::ProviderError, schema::FieldError, session::Session};

pub(crate) async fn act(session: &Session, input: &Value) -> Result<Value, ProviderError> {
    let faults = faults(input);
    if !faults.is_empty() {
        return Err(refused(&faults));
    }
    let settings = Settings::of(session)?;
    let to = input.get("to").and_then(Value::as_str).and_then(mailbox);
    let draft = Draft {
        to: vec![to.unwrap_or_else(|| settings.from.clone())],
        subject: "Test e-mail from Patchbay".into(),
        text: format!(
            "This e-mail was sent through {} to show that the connection works.\n\nNobody needs to answer it.\n",
            settings.host
        ),
        ..Draft::default()
    };
    send(session, draft, &settings).await
}

/// What is wrong with the input.
pub(crate) fn faults(input: &Value) -> Vec<FieldError> {
    let to = input.get("to").and_then(Value::as_str);
    let is_wrong = to.is_some_and(|to| mailbox(to).is_none());
    let message = "must be an e-mail address: name@example.com, or Name <name@example.com>";
    let fault = is_wrong.then(|| FieldError {
        pointer: "/input/to".into(),
        message: message.into(),
    });
    fault.into_iter().collect()
}
