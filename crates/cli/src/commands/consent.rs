//! Connecting by consent from a terminal: prints the address that a person opens, and waits
//! for the end. It opens nothing itself.

use std::time::Duration;

use patchbay_core::ids::ConnectionId;
use serde_json::{Value, json};

use crate::{
    client::{
        Answer, Client,
        connection::Connection,
        consent::{Asked, Consent, Status},
    },
    exit::{Exit, Outcome, Stop},
    output::{self, Format},
};

/// How often the consent is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks for a consent and waits until it has ended; the connection as it is then.
pub async fn follow(
    client: &Client,
    provider: &str,
    body: &Value,
    format: Format,
) -> Outcome<Answer<Connection>> {
    let path = format!("/authorize/{provider}");
    let Answer { json, view } = client.post::<Asked>(&path, &[], body).await?;
    let Some(url) = &view.url else {
        return Err(Stop::internal(
            "the consent was opened before it was asked for",
        ));
    };
    match format {
        Format::Json => output::say_json_line(&json)?,
        Format::Text => {
            output::say(url)?;
            output::complain(&format!(
                "Open this address in a browser, once, before {}",
                view.expires_at.format("%H:%M UTC")
            ));
        }
    }
    let ended = tokio::select! {
        ended = watch(client, &view) => ended?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            let words = format!("not watching any more; the consent {} can still be given", view.consent_id);
            return Err(Stop::new(Exit::Interrupted, words));
        }
    };
    let id = connected(&ended)?;
    client.get(&format!("/connections/{id}"), &[]).await
}

/// Looks until the consent has ended, and tells every step.
async fn watch(client: &Client, asked: &Asked) -> Outcome<Consent> {
    let path = format!("/consents/{}", asked.consent_id);
    let mut told = None;
    loop {
        let consent = match client.get::<Consent>(&path, &[]).await {
            Ok(answer) => answer.view,
            // A restart of the API does not end a consent.
            Err(stop) if stop.exit == Exit::Unreachable => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(stop) => return Err(stop),
        };
        if told != Some(consent.status) {
            told = Some(consent.status);
            if let Some(words) = step(consent.status) {
                output::complain(words);
            }
        }
        match consent.status {
            Status::Connected | Status::Failed | Status::Expired => return Ok(consent),
            Status::Open | Status::Opened | Status::Exchanging => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

fn step(status: Status) -> Option<&'static str> {
    match status {
        Status::Open => Some("waiting for the browser"),
        Status::Opened => Some("the browser is at the provider"),
        Status::Exchanging => Some("the person has agreed; exchanging"),
        Status::Connected | Status::Failed | Status::Expired => None,
    }
}

fn connected(consent: &Consent) -> Outcome<ConnectionId> {
    let words = match (consent.status, &consent.failure) {
        (Status::Connected, _) => match consent.connection_id {
            Some(id) => return Ok(id),
            None => "the consent is connected, but names no connection".to_owned(),
        },
        (Status::Expired, _) => {
            "the consent was not given within ten minutes; ask again".to_owned()
        }
        (_, Some(failure)) => format!(
            "not connected: {}. {}",
            failure.message.trim_end_matches('.'),
            failure.action
        ),
        (_, None) => "not connected".to_owned(),
    };
    Err(Stop::new(Exit::ConsentEnded, words))
}

/// What is asked for: a body of `authorize`.
pub fn asking(name: Option<String>, config: serde_json::Map<String, Value>) -> Value {
    let mut body = json!({});
    if !config.is_empty() {
        body["config"] = Value::Object(config);
    }
    if let Some(name) = name {
        body["name"] = json!(name);
    }
    body
}

/// Says what is connected now.
pub fn say(Answer { json, view }: &Answer<Connection>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json_line(json);
    }
    let account = view.account_name.as_deref();
    let account = account.unwrap_or("an account without a name");
    output::say(&format!(
        "Connected {} to {account}: {}",
        view.name, view.id
    ))?;
    if let Some(failure) = &view.last_error {
        output::complain(&format!("{} {}", failure.message, failure.action));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: Status, failure: Value) -> Consent {
        Consent {
            status,
            connection_id: None,
            failure: serde_json::from_value(failure).unwrap(),
        }
    }

    #[test]
    fn a_consent_that_was_not_given_has_an_exit_code_of_its_own() {
        let refused = json!({ "kind": "auth", "message": "it was not given.", "action": "Agree." });
        let stop = connected(&ended(Status::Failed, refused)).unwrap_err();
        assert_eq!(stop.exit, Exit::ConsentEnded);
        assert_eq!(stop.to_string(), "not connected: it was not given. Agree.");
        let stop = connected(&ended(Status::Expired, Value::Null)).unwrap_err();
        assert_eq!(stop.exit, Exit::ConsentEnded);
    }
}
