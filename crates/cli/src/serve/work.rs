//! A worker's parts, put together alike for a fleet and for `patchbay up`.

use std::sync::Arc;

use super::outside;
use crate::exit::{Outcome, Stop};
use futures::FutureExt;
use patchbay_core::{
    clock::SystemClock,
    config::Config,
    hints::Hints,
    store::{
        Store,
        connect::{ConnectOptions, connect},
    },
    vault::{Keyring, Vault, VaultError},
};
use patchbay_scheduler::Retention;
use patchbay_worker::{Connect, Context, WorkerDeps};

/// A vault over the database's credentials. A keyring that opens none of them is refused
/// here, before every job fails of it.
pub async fn vault(store: &Store, keyring: Keyring) -> Outcome<Vault> {
    let deployment = store.deployment_id().await?;
    let vault = Vault::new(keyring, deployment);
    match vault.prove(store, &vault.keyring()).await {
        Ok(()) => Ok(vault),
        Err(VaultError::Store(error)) => Err(Stop::internal(error)),
        Err(error @ (VaultError::KeyMissing(_) | VaultError::Unopenable)) => {
            Err(Stop::usage(format!(
                "the keyring is not the one of this database ({error}). Restore the keyring that belongs to it"
            )))
        }
    }
}

/// What job bodies work with.
pub async fn context(
    config: &Config,
    store: Store,
    hints: Arc<dyn Hints>,
    keyring: Keyring,
) -> Outcome<Context> {
    Ok(Context {
        vault: Arc::new(vault(&store, keyring).await?),
        outbound: outside::outbound(config, &store)?,
        store,
        hints,
        clock: Arc::new(SystemClock),
        providers: Arc::new(outside::providers(config)?),
        clients: Arc::new(outside::oauth_clients(config)?),
        refresher: Arc::default(),
        consents: Arc::default(),
        silence: Arc::default(),
    })
}

/// A worker of this kind (`worker` or `up`), whose lease has a connection of its own.
pub fn deps(config: &Config, context: Context, kind: &str, database_url: String) -> WorkerDeps {
    let mut deps = WorkerDeps::new(context, lease_connection(kind, database_url), kind, host());
    deps.stop_within = config.shutdown_grace.0;
    deps
}

fn lease_connection(kind: &str, url: String) -> Connect {
    let application_name = format!("patchbay-{kind}-lease");
    Arc::new(move || {
        let (url, application_name) = (url.clone(), application_name.clone());
        async move {
            let options = ConnectOptions {
                max_connections: 1,
                application_name,
            };
            let db = connect(&url, options).await?;
            Ok(Store::new(db, Arc::new(SystemClock)))
        }
        .boxed()
    })
}

/// How long a scheduler keeps what is past.
pub fn retention(config: &Config) -> Retention {
    Retention {
        jobs: config.retention_jobs.duration(),
        job_payloads: config.retention_job_payloads.duration(),
        events: config.retention_events.duration(),
        health_log: config.retention_health_log.duration(),
        health_rollups: config.retention_health_rollups.duration(),
    }
}

/// The name of this machine and the id of this process, for operators. The name is read
/// from a file, because a system call would need another dependency.
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let name = name.map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned());
    format!("{name}:{}", std::process::id())
}
