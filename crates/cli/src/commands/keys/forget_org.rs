//! `patchbay keys forget-org`: the end of an organization's secrets.

use patchbay_core::{config::Config, connection::ConnectionStatus};
use patchbay_providers::{AuthKind, Registry};
use serde_json::json;

use super::{home, many, typed};
use crate::{
    commands::key,
    exit::Outcome,
    output::{self, Format},
};

pub async fn run(config: &Config, org: &str, yes_i_mean: Option<&str>, format: Format) -> Outcome {
    let store = home::store(config).await?;
    let org = key::find_org(&store, org).await?;
    let warning = format!(
        "Every secret of the organization `{}` ({}) will be unreadable for good, in this database and, without its \
         data keys, in what is copied from it from now on. Connections, records and history stay; each account must \
         be connected again.",
        org.name, org.id
    );
    typed::confirm(
        &warning,
        "the name of the organization",
        &org.name,
        yes_i_mean,
    )?;
    let providers = Registry::builtin();
    let broken = |provider: &str| match providers.get(provider).map(|it| it.manifest().auth.kind) {
        Some(AuthKind::Oauth) => ConnectionStatus::Expired,
        Some(AuthKind::AccessToken | AuthKind::Fields) | None => ConnectionStatus::Error,
    };
    let gone = store.forget_secrets(org.id, key::ACTOR, broken).await?;
    match format {
        Format::Json => output::say_json(&json!({ "org": org.id, "forgotten": gone })),
        Format::Text => output::say(&format!(
            "The secrets of `{}` are gone: {}, {}, {}, {}. Waiting for a new credential: {}. Cancelled because they \
             carried a secret: {}. A worker that had a data key in memory forgets it within a minute.",
            org.name,
            many(gone.keys, "data key"),
            many(gone.credentials, "credential"),
            many(gone.webhook_secrets, "webhook secret"),
            many(gone.client_secrets, "OAuth client secret"),
            many(gone.connections, "connection"),
            many(gone.jobs, "job")
        )),
    }
}
