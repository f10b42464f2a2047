//! `patchbay connect`: makes a connection, and waits for its test or for a consent.

use clap::Args;
use serde_json::json;

use super::{connections::tested, consent, form::Form};
use crate::{
    client::{Answer, Client, connection::WithJob},
    exit::{Outcome, Stop},
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Secrets never stand on the command line, where every user of the machine could read them:
  patchbay connect square --name \"My shop\" --set environment=production --secret access_token=@token.txt
  patchbay connect square --name \"My shop\" --secret access_token=env:SQUARE_TOKEN
  pass show square/token | patchbay connect square --name \"My shop\" --secret access_token=-

By consent no secret is needed: an address is printed, and the account is connected once a person
has opened it in a browser and agreed:
  patchbay connect square --name \"My shop\" --consent

What a connection has is changed with `patchbay connections update`.")]
pub struct Arguments {
    /// What to connect, such as square; `patchbay providers` lists all
    provider: String,
    /// Name of the connection [default: the provider's name]
    #[arg(long)]
    name: Option<String>,
    /// Connect by consent: print an address to open in a browser, and wait until the account
    /// is connected
    #[arg(long, conflicts_with = "secrets")]
    consent: bool,
    #[command(flatten)]
    form: Form,
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let Arguments {
        provider,
        name,
        consent: by_consent,
        form,
    } = arguments;
    if by_consent {
        let body = consent::asking(name, form.config());
        let connected = consent::follow(client, &provider, &body, format).await?;
        return consent::say(&connected, format);
    }
    let mut body = json!({ "provider": provider, "config": form.config() });
    if let Some(credential) = form.credential()? {
        body["credential"] = credential;
    }
    if let Some(name) = name {
        body["name"] = json!(name);
    }
    let made = match client.post::<WithJob>("/connections", &[], &body).await {
        Ok(made) => made.view,
        Err(stop) if stop.is_problem("connection-exists") => {
            return Err(already(client, &provider, stop).await);
        }
        Err(stop) => return Err(stop),
    };
    let Answer { json, view } = tested::passed(client, made, format).await?;
    if format == Format::Json {
        return output::say_json(&json);
    }
    let account = view.account_name.as_deref();
    let account = account.unwrap_or("an account without a name");
    output::say(&format!(
        "Connected {} to {account}: {}",
        view.name, view.id
    ))
}

/// The refusal with the commands that go on from here.
async fn already(client: &Client, provider: &str, stop: Stop) -> Stop {
    match client.find_connection(provider).await {
        Ok(present) => stop.and(format!(
            "To give it another credential or config: `patchbay connections update {0} --secret FIELD=SOURCE`.\n\
             To begin anew: `patchbay connections disconnect {0}`, then connect again",
            present.id
        )),
        // The refusal itself says enough.
        Err(_) => stop,
    }
}
