//! A process whose callers all want the same expired credential at one moment, as jobs of
//! one connection do. The same code as in `patchbay worker`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Args;
use futures::future::join_all;
use patchbay_core::ids::{ConnectionId, OrgId};
use patchbay_providers::oauth::OauthClient;
use patchbay_sandbox::etsy::oauth::CLIENT_ID;
use patchbay_worker::OauthClients;
use serde::{Deserialize, Serialize};

use crate::{
    measure::ms,
    product::{Place, etsy_at, worker_parts},
    servers::bound,
};

#[derive(Debug, Args)]
pub struct Arguments {
    #[arg(long)]
    database_url: String,
    /// A file, because arguments are for everyone to read
    #[arg(long)]
    keyring_file: PathBuf,
    #[arg(long)]
    etsy_url: String,
    #[arg(long)]
    org: OrgId,
    #[arg(long)]
    connection: ConnectionId,
    #[arg(long)]
    callers: usize,
    /// When they begin, in milliseconds since 1970
    #[arg(long)]
    begin_ms: i64,
}

/// What a process's callers saw.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    /// How long each waited, in milliseconds.
    pub waited_ms: Vec<f64>,
    /// The versions they got; one, if all is well.
    pub versions: Vec<i64>,
}

/// Waits for the moment, lets all callers want it, prints what they saw.
pub async fn run(arguments: Arguments) -> Result<()> {
    let place = Place {
        database: arguments.database_url,
        redis: None,
    };
    let keyring = std::fs::read_to_string(&arguments.keyring_file)?;
    let mut ctx = worker_parts(&place, Some(&keyring), None)
        .await?
        .deps
        .context;
    ctx.providers = Arc::new(etsy_at(&arguments.etsy_url)?);
    let client = OauthClient {
        id: CLIENT_ID.to_owned(),
        secret: None,
    };
    ctx.clients = Arc::new(OauthClients::new(BTreeMap::from([(
        "etsy".to_owned(),
        client,
    )])));
    let (org, id) = (arguments.org, arguments.connection);
    let row = ctx.store.connection(ctx.store.db(), org, id).await?;
    let row = row.context("the connection is there")?;
    let expired = ctx
        .store
        .current_credential(ctx.store.db(), org, id)
        .await?;
    let expired = expired.context("it has a credential")?;
    let wait = arguments.begin_ms - ctx.clock.now().timestamp_millis();
    tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0))).await;
    let call = async || {
        let began = Instant::now();
        let fresh = ctx.refresher.usable(&ctx, &row, &expired).await;
        (fresh.map(|fresh| fresh.version), ms(began.elapsed()))
    };
    let mut seen = Seen {
        waited_ms: Vec::new(),
        versions: Vec::new(),
    };
    for (version, waited) in join_all((0..arguments.callers).map(|_| call())).await {
        seen.versions
            .push(version.map_err(|error| anyhow::anyhow!("a caller got nothing: {error:?}"))?);
        seen.waited_ms.push(waited);
    }
    seen.versions.dedup();
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}

/// Starts such a process and waits for what it saw.
pub async fn start(place: &Place, more: Vec<String>) -> Result<Seen> {
    let mut command = tokio::process::Command::from(bound(std::env::current_exe()?, "KILL"));
    let child = command
        .args(["refresher", "--database-url", &place.database])
        .args(more)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.wait_with_output().await?;
    serde_json::from_slice(&output.stdout).context("what a refresher printed")
}
