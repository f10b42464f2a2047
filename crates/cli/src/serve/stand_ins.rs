//! The stand-ins of `patchbay up --sandbox`: started on a free loopback port, allowed as a
//! target, with a client of each registered, so that every provider can be connected.

use std::path::PathBuf;

use patchbay_core::{
    config::{ClientId, ClientSecret, Config},
    secret::Secret,
};
use patchbay_sandbox::{
    Dataset, RunningSandbox, Sandbox, SandboxOptions, etsy, google, shopify, slack, square,
};

use crate::exit::{Outcome, Stop};

/// Starts them and turns the settings to them.
pub async fn start(config: &mut Config, data: Option<PathBuf>) -> Outcome<RunningSandbox> {
    let options =
        match data {
            Some(path) => SandboxOptions::with(Dataset::from_csv(&path).map_err(|error| {
                Stop::usage(format!("--sandbox-data {}: {error}", path.display()))
            })?),
            None => SandboxOptions::default(),
        };
    let sandbox = Sandbox::start(options).await.map_err(Stop::internal)?;
    for (stand_in, url) in sandbox.urls() {
        let Some((provider, id, secret)) = client(stand_in) else {
            continue;
        };
        let url = url.parse().map_err(Stop::internal)?;
        config.provider_base_urls.0.insert(provider.into(), url);
        let ids = &mut config.oauth_client_ids.0;
        ids.insert(provider.into(), ClientId(id.into()));
        let secrets = &mut config.oauth_client_secrets.0;
        secrets.insert(provider.into(), ClientSecret(Secret::new(secret)));
    }
    let loopback = sandbox.address().ip().to_string();
    let loopback = loopback.parse().map_err(Stop::internal)?;
    config.outbound_allow.0.push(loopback);
    Ok(sandbox)
}

/// The provider that a stand-in stands in for, and the client that it knows.
fn client(stand_in: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match stand_in {
        "square" => Some((
            "square",
            square::oauth::CLIENT_ID,
            square::oauth::CLIENT_SECRET,
        )),
        "google" => Some((
            "google_drive",
            google::oauth::CLIENT_ID,
            google::oauth::CLIENT_SECRET,
        )),
        "slack" => Some((
            "slack",
            slack::oauth::CLIENT_ID,
            slack::oauth::CLIENT_SECRET,
        )),
        "etsy" => Some(("etsy", etsy::oauth::CLIENT_ID, etsy::oauth::CLIENT_SECRET)),
        "shopify" => Some((
            "shopify",
            shopify::oauth::CLIENT_ID,
            shopify::oauth::CLIENT_SECRET,
        )),
        _ => None,
    }
}
