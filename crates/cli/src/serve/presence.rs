//! An API process's row and lease: so that operators see it, and the retire gate knows
//! which sealing key it uses. An API runs no jobs: a lease that runs out costs nothing.

use std::{convert::Infallible, time::Duration};

use patchbay_core::{
    clock::SystemClock,
    ids::ProcessId,
    store::{Store, StoreError},
    vault::{
        SealingPublicKey,
        holders::{HeldKey, KeySort},
        keyring::KeyState,
    },
};
use tokio_util::sync::CancellationToken;

const RENEW_EVERY: Duration = Duration::from_secs(1);
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Registered from the start to `stop`.
pub async fn keep(
    store: Store,
    host: String,
    seals_to: SealingPublicKey,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let key = HeldKey {
        id: seals_to.id().to_owned(),
        sort: KeySort::Sealing,
        state: KeyState::Primary,
        fingerprint: seals_to.fingerprint(),
    };
    let mut me = None;
    loop {
        match renew(&store, &host, &key, me).await {
            Ok(now) => me = now,
            Err(error) => tracing::debug!(%error, "the lease of this process was not renewed"),
        }
        tokio::select! {
            () = tokio::time::sleep(RENEW_EVERY) => {}
            () = stop.cancelled() => break,
        }
    }
    if let Some(me) = me {
        let left = tokio::time::timeout(LEAVE_WITHIN, store.jobs().leave(me)).await;
        tracing::debug!(?left, "the lease was given back");
    }
    Ok(())
}

async fn renew(
    store: &Store,
    host: &str,
    key: &HeldKey,
    me: Option<ProcessId>,
) -> Result<Option<ProcessId>, StoreError> {
    if let Some(me) = me {
        let alive = store.jobs().renew(me, &[]).await?.alive;
        return Ok(alive.then_some(me));
    }
    let me = ProcessId::new(&SystemClock);
    store.jobs().register(me, "api", host).await?;
    store.publish_keys(me, std::slice::from_ref(key)).await?;
    Ok(Some(me))
}
