//! `patchbay connections update`: another name, config or credential.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{super::form::Form, show, tested};
use crate::{
    client::{
        Client,
        connection::{Connection, WithJob},
    },
    exit::{Outcome, Stop},
    output::Format,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay connections update square --secret access_token=@token.txt     a new credential
  patchbay connections update square --set environment=sandbox            another config; other fields stay
  patchbay connections update square --name \"Second shop\"

A new credential or config is tested first. If the test fails, what was there stays in force.")]
pub struct Arguments {
    /// By id, name or provider
    connection: String,
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// Minutes from one check of its health to the next, 1 to 60
    #[arg(long, value_name = "MINUTES", value_parser = super::health::interval)]
    health_interval: Option<u8>,
    #[command(flatten)]
    form: Form,
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let Arguments {
        connection,
        name,
        health_interval,
        form,
    } = arguments;
    let connection = client.find_connection(&connection).await?;
    let at_once = AtOnce {
        name,
        health_interval,
    };
    let body = body(&connection, at_once, form.config(), form.credential()?)?;
    let path = format!("/connections/{}", connection.id);
    let asked = client.patch::<WithJob>(&path, &body).await?.view;
    show(&tested::passed(client, asked, format).await?, format)
}

/// What needs no test.
#[derive(Debug, Default)]
struct AtOnce {
    name: Option<String>,
    health_interval: Option<u8>,
}

/// What to send. The API takes a whole config, people give the fields that change.
fn body(
    connection: &Connection,
    at_once: AtOnce,
    fields: Map<String, Value>,
    credential: Option<Value>,
) -> Outcome<Value> {
    let mut body = Map::new();
    body.extend(at_once.name.map(|name| ("name".to_owned(), json!(name))));
    body.extend(
        at_once
            .health_interval
            .map(|minutes| ("health_interval_minutes".to_owned(), json!(minutes))),
    );
    body.extend(credential.map(|secrets| ("credential".to_owned(), secrets)));
    if !fields.is_empty() {
        let mut config = connection.config.as_object().cloned().unwrap_or_default();
        config.extend(fields);
        body.insert("config".into(), Value::Object(config));
    }
    if body.is_empty() {
        return Err(Stop::usage(
            "nothing to change: give --name, --health-interval, --set FIELD=VALUE or --secret FIELD=SOURCE",
        ));
    }
    Ok(Value::Object(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn connection() -> Connection {
        serde_json::from_value(json!({
            "id": "019ab2c3-7d4e-7f00-8000-000000000001", "provider": "square", "name": "Shop",
            "status": "active", "health": "healthy", "config": { "environment": "production", "locations": ["L1"] },
            "account_name": null, "last_error": null, "last_synced_at": null,
        }))
        .unwrap()
    }

    #[test]
    fn fields_that_are_not_given_stay() {
        let fields = Map::from_iter([("environment".to_owned(), json!("sandbox"))]);
        assert_eq!(
            body(
                &connection(),
                AtOnce {
                    name: Some("Other".into()),
                    health_interval: Some(15),
                },
                fields,
                None
            )
            .unwrap(),
            json!({ "name": "Other", "health_interval_minutes": 15, "config": { "environment": "sandbox", "locations": ["L1"] } })
        );
    }

    #[test]
    fn only_what_is_given_is_sent() {
        let secrets = Some(json!({ "access_token": "x" }));
        assert_eq!(
            body(&connection(), AtOnce::default(), Map::new(), secrets).unwrap(),
            json!({ "credential": { "access_token": "x" } })
        );
        let nothing = body(&connection(), AtOnce::default(), Map::new(), None).unwrap_err();
        assert_eq!(nothing.exit, Exit::Usage);
    }
}
