//! Reads the keyring file again when it has changed, so that keys are added, promoted and
//! retired while the process runs; and tells in the process's row which keys it knows,
//! which the promotion barrier goes by.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use patchbay_core::{
    ids::ProcessId,
    store::Store,
    vault::{
        Keyring, SealingPublicKey, Vault, VaultError,
        holders::{HeldKey, KeySort},
        keyring::KeyState,
    },
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::outside;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is watched, and who is told.
#[derive(Debug)]
pub struct KeyringWatch {
    pub path: PathBuf,
    pub vault: Arc<Vault>,
    pub store: Store,
    /// The process's id while its lease lives.
    pub me: watch::Receiver<Option<ProcessId>>,
    /// What an API in the same process seals to, from its start to its end.
    pub seals_to: Option<SealingPublicKey>,
}

/// Which file was read: another one, or another content.
type Seen = Option<(u64, u64, i64, i64)>;

impl KeyringWatch {
    /// Until `stop`. Ends early where this process lacks a key that was promoted while it
    /// started: it could not open what others close.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        // The file may have changed since it was read for the vault.
        let mut seen: Seen = None;
        let mut told: Option<(ProcessId, Vec<HeldKey>)> = None;
        loop {
            let now = file(&self.path);
            if now != seen {
                seen = now;
                self.read_again().await;
            }
            let me = *self.me.borrow_and_update();
            let keys = self.keys();
            if let Some(me) = me
                && told.as_ref() != Some(&(me, keys.clone()))
            {
                let is_first = told.is_none();
                match self.tell(me, &keys).await {
                    Ok(true) => told = Some((me, keys)),
                    Ok(false) => {}
                    Err(VaultError::Store(error)) => {
                        tracing::warn!(%error, "which keys this process knows could not be told; it tries on");
                    }
                    Err(error @ (VaultError::KeyMissing(_) | VaultError::Unopenable))
                        if is_first =>
                    {
                        return Err(format!("{error} ({})", self.path.display()));
                    }
                    Err(error @ (VaultError::KeyMissing(_) | VaultError::Unopenable)) => {
                        tracing::error!(%error, "the keyring lacks a key that is in use: copy the newest keyring file here");
                        told = Some((me, keys));
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
                changed = self.me.changed() => if changed.is_err() {
                    // The lease has ended, and the process with it.
                    stop.cancelled().await;
                    return Ok(());
                },
            }
        }
    }

    /// Takes the file's keys where they are whole and enough; else goes on with those it has.
    async fn read_again(&self) {
        let path = self.path.display();
        let keyring = match outside::keyring(&self.path) {
            Ok(keyring) => keyring,
            Err(stop) => {
                tracing::error!("{stop}; going on with the keys read before");
                return;
            }
        };
        if keyring.held() == self.vault.keyring().held() {
            return;
        }
        match self.vault.prove(&self.store, &keyring).await {
            Ok(()) => {
                tracing::info!(%path, keys = ?keyring, "the keyring file was read again");
                self.vault.take_keyring(keyring);
            }
            Err(VaultError::Store(error)) => {
                // Whole, and nothing says that a key is missing.
                tracing::warn!(%error, "the keyring file was read again without a look at the database");
                self.vault.take_keyring(keyring);
            }
            Err(error @ (VaultError::KeyMissing(_) | VaultError::Unopenable)) => {
                tracing::error!(%error, %path, "the keyring file lacks a key that is in use; going on with the keys read before");
            }
        }
    }

    /// True: told, and nothing promoted is missing. The order matters: first told, then
    /// looked, as a promotion first notes the key and then asks who knows it.
    async fn tell(&self, me: ProcessId, keys: &[HeldKey]) -> Result<bool, VaultError> {
        if !self.store.publish_keys(me, keys).await? {
            return Ok(false);
        }
        self.vault.prove(&self.store, &self.vault.keyring()).await?;
        Ok(true)
    }

    fn keys(&self) -> Vec<HeldKey> {
        told(&self.vault.keyring(), self.seals_to.as_ref())
    }
}

/// The keyring's keys; with an API beside it, the sealing key that this API uses is primary.
fn told(keyring: &Keyring, seals_to: Option<&SealingPublicKey>) -> Vec<HeldKey> {
    let mut keys = keyring.held();
    if let Some(used) = seals_to {
        for key in keys.iter_mut().filter(|key| key.sort == KeySort::Sealing) {
            if key.id == used.id() {
                key.state = KeyState::Primary;
            } else if key.state == KeyState::Primary {
                key.state = KeyState::Standby;
            }
        }
    }
    keys
}

fn file(path: &Path) -> Seen {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}
