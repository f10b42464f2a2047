//! `patchbay connect`: makes a connection, and waits for its test.

use std::{collections::BTreeMap, io::Read, path::PathBuf};

use clap::Args;
use patchbay_core::{connection::ConnectionStatus, secret::Secret};
use serde_json::{Map, Value, json};

use crate::{
    client::{Client, connection::WithJob, job},
    exit::{Exit, Outcome, Stop},
    follow,
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Secrets never stand on the command line, where every user of the machine could read them:
  patchbay connect square --name \"My shop\" --set environment=production --secret access_token=@token.txt
  patchbay connect square --name \"My shop\" --secret access_token=env:SQUARE_TOKEN
  pass show square/token | patchbay connect square --name \"My shop\" --secret access_token=-")]
pub struct Arguments {
    /// What to connect, such as square; `patchbay providers` lists all
    provider: String,
    /// Name of the connection [default: the provider's name]
    #[arg(long)]
    name: Option<String>,
    /// Field of the config; JSON is taken as such, anything else as text
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// Secret field: from a file (@FILE), from the standard input (-), from a variable (env:NAME)
    #[arg(long = "secret", value_name = "FIELD=SOURCE", value_parser = secret)]
    secrets: Vec<(String, SecretSource)>,
}

/// Where a secret is read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretSource {
    File(PathBuf),
    Input,
    Variable(String),
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected FIELD=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn secret(text: &str) -> Result<(String, SecretSource), String> {
    let (name, source) = text
        .split_once('=')
        .ok_or("expected FIELD=@FILE, FIELD=- or FIELD=env:NAME")?;
    let source = match (
        source,
        source.strip_prefix('@'),
        source.strip_prefix("env:"),
    ) {
        ("-", _, _) => SecretSource::Input,
        (_, Some(path), _) if !path.is_empty() => SecretSource::File(path.into()),
        (_, _, Some(variable)) if !variable.is_empty() => {
            SecretSource::Variable(variable.to_owned())
        }
        (_, _, _) => {
            return Err(
                "a secret is not given on the command line, where others can read it: \
                        use @FILE, - (standard input) or env:NAME"
                    .into(),
            );
        }
    };
    Ok((name.to_owned(), source))
}

impl SecretSource {
    fn read(&self) -> Outcome<Secret> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|error| Stop::usage(format!("--secret @{}: {error}", path.display())))?,
            Self::Input => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            }
            Self::Variable(name) => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the variable is named by the person, it is no setting"
                )]
                let value = std::env::var(name);
                value.map_err(|error| Stop::usage(format!("--secret env:{name}: {error}")))?
            }
        };
        // Files and pipes end with a line end that is no part of the secret.
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            Err(Stop::usage("the secret is empty"))
        } else {
            Ok(Secret::new(text))
        }
    }
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let config: Map<String, Value> = arguments
        .fields
        .into_iter()
        .map(|(name, text)| (name, value(text)))
        .collect();
    let mut secrets = BTreeMap::new();
    for (name, source) in &arguments.secrets {
        secrets.insert(name.clone(), source.read()?);
    }
    let exposed: BTreeMap<&str, &str> = secrets
        .iter()
        .map(|(name, secret)| (name.as_str(), secret.expose()))
        .collect();
    let mut body =
        json!({ "provider": arguments.provider, "config": config, "credential": exposed });
    if let Some(name) = arguments.name {
        body["name"] = json!(name);
    }
    let made = client.post::<WithJob>("/connections", &[], &body).await?;
    let id = made.view.connection.id;
    let tested = match made.view.job {
        Some(job) => follow::to_the_end(client, vec![job], format).await,
        None => Ok(Vec::new()),
    };
    if let Err(stop) = tested {
        let advice = format!(
            "{stop}\nThe connection {id} is pending and not in use. Remove it with `patchbay connections disconnect {id}`, \
             then connect again with what was wrong"
        );
        return Err(Stop::new(stop.exit, advice));
    }
    let connection = client
        .get::<crate::client::connection::Connection>(&format!("/connections/{id}"), &[])
        .await?;
    match format {
        Format::Json => output::say_json(&connection.json)?,
        Format::Text => {
            let account = connection
                .view
                .account_name
                .as_deref()
                .unwrap_or("an account without a name");
            output::say(&format!(
                "Connected {} to {account}: {id}",
                connection.view.name
            ))?;
        }
    }
    match connection.view.status {
        ConnectionStatus::Active => Ok(()),
        status => Err(Stop::new(
            Exit::JobEnded,
            format!("the connection is {}", job::name(status)),
        )),
    }
}

fn value(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_on_the_command_line_is_refused() {
        assert!(
            secret("access_token=EAAA123")
                .unwrap_err()
                .contains("others can read it")
        );
    }

    #[test]
    fn secrets_come_from_files_input_and_variables() {
        assert_eq!(
            secret("t=@a b").unwrap().1,
            SecretSource::File("a b".into())
        );
        assert_eq!(secret("t=-").unwrap().1, SecretSource::Input);
        assert_eq!(
            secret("t=env:TOKEN").unwrap().1,
            SecretSource::Variable("TOKEN".into())
        );
    }

    #[test]
    fn the_line_end_of_a_file_is_no_part_of_the_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "EAAA\r\n").unwrap();
        assert_eq!(
            SecretSource::File(file.path().into())
                .read()
                .unwrap()
                .expose(),
            "EAAA"
        );
    }

    #[test]
    fn config_values_may_be_json() {
        assert_eq!(value("[\"L1\"]".into()), json!(["L1"]));
        assert_eq!(value("production".into()), json!("production"));
    }
}
