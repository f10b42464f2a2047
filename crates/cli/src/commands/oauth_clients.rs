//! `patchbay oauth-clients`: an organization's own apps at providers.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::SecretSource;
use crate::{
    client::{Answer, Client, job::Job},
    exit::Outcome,
    follow,
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Accounts are connected by consent through the deployment's app at the provider (settings oauth.*),
or through the organization's own, which is set here. The secret never stands on the command line:
  patchbay oauth-clients set square --client-id sq0idp-... --client-secret @secret.txt
  pass show square/app | patchbay oauth-clients set square --client-id sq0idp-... --client-secret -")]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the organization's own apps (the default)
    List,
    /// Set the app of a provider
    Set {
        /// Key of the provider
        provider: String,
        /// As the provider gave it
        #[arg(long)]
        client_id: String,
        /// From a file (@FILE), from the standard input (-), from a variable (env:NAME)
        #[arg(long, value_name = "SOURCE", value_parser = SecretSource::parse)]
        client_secret: Option<SecretSource>,
    },
    /// Remove the app of a provider; the deployment's is used from then on
    Remove {
        /// Key of the provider
        provider: String,
    },
}

/// The organization's own app at a provider.
#[derive(Debug, Deserialize)]
struct OauthClient {
    provider: String,
    client_id: String,
    secret_mask: Option<String>,
}

#[derive(Debug, Deserialize)]
struct List {
    data: Vec<OauthClient>,
}

#[derive(Debug, Deserialize)]
struct Set {
    job: Job,
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    match arguments.command.unwrap_or(Command::List) {
        Command::List => list(client.get("/oauth-clients", &[]).await?, format),
        Command::Set {
            provider,
            client_id,
            client_secret,
        } => {
            let mut body = json!({ "client_id": client_id });
            if let Some(source) = client_secret {
                body["client_secret"] = json!(source.read()?.expose());
            }
            let path = format!("/oauth-clients/{provider}");
            let set: Answer<Set> = client.put(&path, &body).await?;
            follow::to_the_end(client, vec![set.view.job], format).await?;
            let Answer { json, view } = client.get::<OauthClient>(&path, &[]).await?;
            match format {
                Format::Json => output::say_json(&json),
                Format::Text => output::say(&format!(
                    "Consents of {} are asked for with {} now",
                    view.provider, view.client_id
                )),
            }
        }
        Command::Remove { provider } => {
            let path = format!("/oauth-clients/{provider}");
            client.delete::<Value>(&path).await?;
            output::say(&format!(
                "Consents of {provider} are asked for with the deployment's app now"
            ))
        }
    }
}

fn list(answer: Answer<List>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    if answer.view.data.is_empty() {
        return output::say("The organization has no app of its own; the deployment's are used.");
    }
    let row = |client: &OauthClient| {
        [
            client.provider.clone(),
            client.client_id.clone(),
            client.secret_mask.clone().unwrap_or_else(|| "none".into()),
        ]
    };
    let rows: Vec<_> = answer.view.data.iter().map(row).collect();
    output::say(&output::table(["PROVIDER", "CLIENT ID", "SECRET"], &rows))
}
