//! `patchbay key`: API keys of a fleet, straight in its database. Runs where the
//! operator has the database's address; needs no key.

use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use patchbay_core::{
    clock::SystemClock,
    config::Config,
    connection::Role,
    entities::{api_key, org},
    ids::OrgId,
    store::{Store, StoreError},
};
use serde_json::json;

use crate::{
    exit::{Exit, Outcome, Stop},
    logging,
    output::{self, Format},
    serve::database,
};

/// Who made it, in the activity log.
pub const ACTOR: &str = "operator";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an API key; it is shown once
    Create {
        /// Organization, by id or name
        #[arg(long, value_name = "ORG")]
        org: String,
        /// Name of the key: who or what uses it
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value_t = RoleName::Member, value_name = "ROLE")]
        role: RoleName,
    },
    /// List the keys of an organization, without their secrets
    List {
        /// Organization, by id or name
        #[arg(long, value_name = "ORG")]
        org: String,
    },
}

/// A role as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RoleName {
    /// Everything, keys included
    Owner,
    /// Connects, changes and disconnects
    Admin,
    /// Starts syncs, tests and actions
    Member,
    /// Reads
    Viewer,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Owner => Self::Owner,
            RoleName::Admin => Self::Admin,
            RoleName::Member => Self::Member,
            RoleName::Viewer => Self::Viewer,
        }
    }
}

pub async fn run(config: Config, command: Command, format: Format) -> Outcome {
    let store = store(&config).await?;
    match command {
        Command::Create { org, name, role } => {
            let org = find_org(&store, &org).await?;
            let tx = store.begin().await?;
            let (key, secret) = store
                .create_api_key(&tx, org.id, &name, role.into(), ACTOR)
                .await?;
            tx.commit().await.map_err(StoreError::from)?;
            match format {
                Format::Json => output::say_json(
                    &json!({ "id": key.id, "org": org.id, "name": name, "role": key.role, "api_key": secret.expose() }),
                ),
                Format::Text => output::say(&format!("{}   (shown only now)", secret.expose())),
            }
        }
        Command::List { org } => {
            let org = find_org(&store, &org).await?;
            list(&store.api_keys(org.id).await?, format)
        }
    }
}

fn list(keys: &[api_key::Model], format: Format) -> Outcome {
    match format {
        Format::Json => {
            let row = |key: &api_key::Model| {
                json!({
                    "id": key.id, "name": key.name, "role": key.role, "prefix": key.prefix,
                    "created_at": key.created_at, "last_used_at": key.last_used_at, "revoked_at": key.revoked_at,
                })
            };
            output::say_json(&keys.iter().map(row).collect::<Vec<_>>())
        }
        Format::Text => {
            let row = |key: &api_key::Model| {
                let used = key.last_used_at.map_or_else(
                    || "never".into(),
                    |at| at.format("%Y-%m-%d %H:%M").to_string(),
                );
                [
                    format!("pb_{}_...", key.prefix),
                    key.name.clone(),
                    format!("{:?}", key.role).to_lowercase(),
                    used,
                ]
            };
            output::say(&output::table(
                ["KEY", "NAME", "ROLE", "LAST USED"],
                &keys.iter().map(row).collect::<Vec<_>>(),
            ))
        }
    }
}

pub async fn find_org(store: &Store, text: &str) -> Outcome<org::Model> {
    let found = match text.parse::<OrgId>() {
        Ok(id) => store.org(id).await?,
        Err(_) => store.org_by_name(text).await?,
    };
    found.ok_or_else(|| {
        Stop::new(
            Exit::NotFound,
            format!("there is no organization `{text}`: `patchbay org list` lists them"),
        )
    })
}

/// The fleet's store, for operator commands.
pub async fn store(config: &Config) -> Outcome<Store> {
    logging::start(config)?;
    let db = database::postgres(config, "operator").await?;
    if database::pending(&db).await.map_err(Stop::internal)? > 0 {
        return Err(Stop::usage(
            "the database lacks migrations: run `patchbay migrate` first",
        ));
    }
    Ok(Store::new(db, Arc::new(SystemClock)))
}
