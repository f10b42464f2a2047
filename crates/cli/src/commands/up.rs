//! `patchbay up`: everything in one process on SQLite, no Redis. The lock on the data
//! folder proves every earlier process dead, so its jobs are taken back at the start.

use std::{
    convert::Infallible,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use patchbay_api::ApiDeps;
use patchbay_core::{
    clock::SystemClock,
    config::{Config, Loaded, PublicUrl, Source},
    connection::Role,
    hints::{Hints, MemoryHints},
    store::{Store, StoreError},
    vault::Keyring,
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_sandbox::{RunningSandbox, square::DEFAULT_TOKEN};
use patchbay_scheduler::{Identity, SchedulerDeps};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    exit::{Outcome, Stop},
    instance::{DataFolder, InstanceFile, folder::write_private},
    logging,
    output::{self, Format},
    serve::{
        admin_port, background::Parts, database, keyring_watch::KeyringWatch, listen, outside,
        readiness::Readiness, signals, stand_ins, vital_signs::VitalSigns, work,
    },
};

/// Who made the first org, in the activity log.
const ACTOR: &str = "system";

#[derive(Debug, Args)]
#[command(after_help = "\
The data folder holds everything: database, keyring, and the address and owner key that the client
commands of this machine use. Copy it while Patchbay is stopped, and you have a backup.

Examples:
  patchbay up
  patchbay up --sandbox                          with stand-ins for providers: needs no account
  patchbay up --data-dir ./data --listen 127.0.0.1:8080")]
pub struct Arguments {
    /// Also run stand-ins for Square, Google Drive, Slack, Etsy and Shopify, and use them in
    /// place of these
    #[arg(long)]
    sandbox: bool,
    /// Order lines (CSV) that the stand-in for Square sells, in place of made-up ones
    #[arg(long, value_name = "FILE", requires = "sandbox")]
    sandbox_data: Option<PathBuf>,
}

pub async fn run(loaded: Loaded, arguments: Arguments, format: Format) -> Outcome {
    let started = Instant::now();
    // Client commands of another terminal look into the usual folder unless told.
    let is_told = loaded.rows.iter().any(|row| {
        row.key == "data_dir" && matches!(row.source, Source::Flag(_) | Source::Environment(_))
    });
    let mut config = loaded.config;
    logging::start(&config)?;
    let stopping = signals::listen()?;
    let folder = DataFolder::lock(&config.data_dir)?;
    if config.database_url.is_some() || config.redis_url.is_some() {
        tracing::warn!(
            "`up` keeps everything in its data folder; database_url and redis_url are for a fleet"
        );
    }
    let sandbox = if arguments.sandbox {
        Some(stand_ins::start(&mut config, arguments.sandbox_data).await?)
    } else {
        None
    };

    let (keyring_path, keyring) = keyring(&config, &folder)?;
    let sealing = keyring.sealing_public().clone();
    let database_url = database::sqlite_url(&folder.file("patchbay.db"))?;
    let db = database::sqlite(&database_url).await?;
    Migrator::up(&db, None)
        .await
        .map_err(|error| Stop::internal(format!("a migration failed: {error}")))?;
    let store = Store::new(db, Arc::new(SystemClock));
    let hints: Arc<dyn Hints> = Arc::new(MemoryHints::new());

    let listener = listen::on(config.listen, "listen").await?;
    let url = listen::url_of(&listener)?;
    if config.public_url.is_none() {
        config.public_url = PublicUrl::of_loopback(&url);
    }
    let (instance, is_new) = instance(&store, &folder, &url, sandbox.as_ref()).await?;
    let readiness = Readiness::default();
    admin_port::serve(&config, "up", &readiness, &stopping.stop).await?;

    let context = work::context(&config, store.clone(), Arc::clone(&hints), keyring).await?;
    let worker = work::deps(&config, context, "up", database_url);
    let lease = worker.me.subscribe();
    let mut scheduler = SchedulerDeps::new(
        store.clone(),
        Arc::clone(&hints),
        Arc::new(SystemClock),
        Identity::Of(worker.me.subscribe()),
    );
    scheduler.retention = work::retention(&config);
    let watch = KeyringWatch {
        path: keyring_path,
        vault: Arc::clone(&worker.context.vault),
        store: store.clone(),
        me: worker.me.subscribe(),
        seals_to: Some(sealing.clone()),
    };
    let api = ApiDeps {
        store,
        hints,
        sealing,
        providers: Arc::clone(&worker.context.providers),
        consent: Arc::new(outside::consent_settings(&config)?),
        addresses: outside::addresses(&config),
    };
    readiness.running(VitalSigns {
        worker: Some((lease, Arc::clone(&worker.metrics))),
        grants: Some((
            Arc::clone(&worker.context.consents),
            Arc::clone(&worker.context.refresher),
        )),
        breakers: worker.context.outbound.breakers().cloned(),
        scheduler: Some(Arc::clone(&scheduler.reports)),
        hints: None,
    });
    let queues = config
        .worker_queues
        .0
        .iter()
        .map(|(queue, slots)| (*queue, *slots))
        .collect();
    let mut parts = Parts::new(stopping.stop.clone());
    parts.start(
        "worker",
        patchbay_worker::run(
            worker,
            queues,
            stopping.stop.clone(),
            stopping.hurry.clone(),
        ),
    );
    parts.start("keyring", watch.run(stopping.stop.clone()));
    parts.start("scheduler", duties(scheduler, stopping.stop.clone()));
    parts.start(
        "api",
        patchbay_api::serve(listener, api, stopping.stop.clone()),
    );
    let took = started.elapsed();
    tracing::info!(url = instance.url, ms = took.as_millis(), "ready");
    match format {
        Format::Json => output::say_json_line(&json!({
            "ready": true, "url": instance.url, "data_dir": folder.path(), "ready_ms": took.as_millis(),
            "sandbox": sandbox.as_ref().map(RunningSandbox::base_url),
        }))?,
        Format::Text => output::say(&welcome(
            &instance,
            is_new,
            (&folder, is_told),
            sandbox.as_ref(),
            took,
        ))?,
    }
    let ended = parts.run().await;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    ended
}

async fn duties(deps: SchedulerDeps, stop: CancellationToken) -> Result<(), Infallible> {
    patchbay_scheduler::run(deps, stop).await;
    Ok(())
}

/// The keyring of the settings, or the data folder's own, made at the first start.
fn keyring(config: &Config, folder: &DataFolder) -> Outcome<(PathBuf, Keyring)> {
    let path = match &config.keyring_file {
        Some(path) => path.clone(),
        None => {
            let path = folder.file("keyring.toml");
            if !path.exists() {
                // A database with credentials whose keyring is gone must not get a new one silently.
                if folder.file("patchbay.db").exists() {
                    return Err(Stop::usage(format!(
                        "{} is missing, but the database is there: without its keyring no credential in it opens. \
                         Restore the file from a backup, or begin anew in an empty data folder",
                        path.display()
                    )));
                }
                write_private(&path, &Keyring::generate())?;
            }
            path
        }
    };
    let keyring = outside::keyring(&path)?;
    Ok((path, keyring))
}

/// The instance file, and whether its owner key is new: made at the first start, or when
/// the file is gone (the database has only the key's hash).
async fn instance(
    store: &Store,
    folder: &DataFolder,
    url: &str,
    sandbox: Option<&RunningSandbox>,
) -> Outcome<(InstanceFile, bool)> {
    let known = InstanceFile::read(folder.path())?;
    let (mut instance, is_new) = match known {
        Some(instance) if store.authenticate(&instance.api_key).await?.is_some() => (
            InstanceFile {
                url: url.to_owned(),
                pid: std::process::id(),
                ..instance
            },
            false,
        ),
        Some(_) | None => (first_key(store, url).await?, true),
    };
    instance.sandbox = sandbox.map(RunningSandbox::base_url);
    instance.write(folder.path())?;
    Ok((instance, is_new))
}

async fn first_key(store: &Store, url: &str) -> Outcome<InstanceFile> {
    let present = store.orgs().await?.into_iter().next();
    let tx = store.begin().await?;
    let org = match present {
        Some(org) => org,
        None => store.create_org(&tx, "Default", ACTOR).await?,
    };
    let (_, secret) = store
        .create_api_key(&tx, org.id, "owner", Role::Owner, ACTOR)
        .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(InstanceFile {
        url: url.to_owned(),
        org: org.id,
        api_key: secret.expose().to_owned(),
        pid: std::process::id(),
        sandbox: None,
    })
}

/// What a person reads when it is ready. The key is shown at the start that made it.
fn welcome(
    instance: &InstanceFile,
    is_new: bool,
    (folder, is_told): (&DataFolder, bool),
    sandbox: Option<&RunningSandbox>,
    took: Duration,
) -> String {
    let file = folder.file(crate::instance::file::NAME);
    let called = called();
    let key = if is_new {
        format!("{}  (shown only now; kept in", instance.api_key)
    } else {
        "(in".to_owned()
    };
    let mut lines = vec![
        format!(
            "Patchbay is ready at {} after {} ms",
            instance.url,
            took.as_millis()
        ),
        format!("  Data     {}", folder.path().display()),
        format!("  Key      {key} {})", file.display()),
    ];
    if let Some(sandbox) = sandbox {
        lines.push(format!(
            "  Sandbox  stand-ins of {} at {}",
            sandbox.urls().map(|(provider, _)| provider).join(", "),
            sandbox.base_url()
        ));
        lines.push("\nConnect it from another terminal:".to_owned());
        if is_told {
            lines.push(format!(
                "  export PATCHBAY_DATA_DIR={}",
                folder.path().display()
            ));
        }
        lines.push(format!(
            "  echo {DEFAULT_TOKEN} | {called} connect square --secret access_token=-"
        ));
        lines.push(format!("  {called} sync square --follow"));
    }
    lines.join("\n")
}

/// This program as the person called it: it need not be on the search path.
fn called() -> String {
    let name = std::env::args_os().next();
    name.map_or_else(
        || "patchbay".into(),
        |name| name.to_string_lossy().into_owned(),
    )
}
