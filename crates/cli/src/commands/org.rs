//! `patchbay org`: organizations of a fleet, straight in its database, because no
//! API key exists before the first one.

use clap::Subcommand;
use patchbay_core::{config::Config, connection::Role};
use serde_json::json;

use crate::{
    commands::key,
    exit::Outcome,
    output::{self, Format},
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an organization and its owner key; the key is shown once
    Create {
        /// Its name
        name: String,
        /// Name of the key
        #[arg(long, default_value = "owner", value_name = "NAME")]
        key_name: String,
    },
    /// List organizations
    List,
}

pub async fn run(config: Config, command: Command, format: Format) -> Outcome {
    let store = key::store(&config).await?;
    match command {
        Command::Create { name, key_name } => {
            let tx = store.begin().await?;
            let org = store.create_org(&tx, &name, key::ACTOR).await?;
            let (_, secret) = store
                .create_api_key(&tx, org.id, &key_name, Role::Owner, key::ACTOR)
                .await?;
            tx.commit()
                .await
                .map_err(patchbay_core::store::StoreError::from)?;
            match format {
                Format::Json => output::say_json(
                    &json!({ "org": org.id, "name": name, "api_key": secret.expose() }),
                ),
                Format::Text => output::say(&format!(
                    "Organization  {name}\nId            {}\nOwner key     {}   (shown only now)",
                    org.id,
                    secret.expose()
                )),
            }
        }
        Command::List => {
            let orgs = store.orgs().await?;
            match format {
                Format::Json => output::say_json(
                    &orgs
                        .iter()
                        .map(|org| json!({ "id": org.id, "name": org.name, "created_at": org.created_at }))
                        .collect::<Vec<_>>(),
                ),
                Format::Text => {
                    let row = |org: &patchbay_core::entities::org::Model| {
                        [org.id.to_string(), org.name.clone(), org.created_at.format("%Y-%m-%d %H:%M").to_string()]
                    };
                    output::say(&output::table(["ID", "NAME", "CREATED"], &orgs.iter().map(row).collect::<Vec<_>>()))
                }
            }
        }
    }
}
