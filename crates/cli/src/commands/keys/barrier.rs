//! What live processes must say before a key changes its state. They read the keyring
//! file again every other second, so a moment's patience saves a refusal.

use std::time::{Duration, Instant};

use patchbay_core::{
    store::Store,
    vault::{
        Keyring,
        holders::{HeldKey, Holder, KeySort, closing_with, lacking},
    },
};

use crate::exit::{Exit, Outcome, Stop};

const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Waits until every live process that holds a keyring can open what this key closes.
pub async fn known_to_all(store: &Store, key: &HeldKey, patience: Duration) -> Outcome {
    let left = wait(store, patience, |holders| owned(lacking(holders, key))).await?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Stop::new(
        Exit::Refused,
        format!(
            "{} not known to every live process: what it closes could not be opened there.\n{}\n\
             Copy this keyring file to their machines (they read it again within seconds), or update or stop them. \
             The files themselves are not looked at: what counts is what live processes report.",
            of(key),
            lines(&left, |holder| match &holder.keys {
                None => "has not told which keys it knows".to_owned(),
                Some(_) => "does not know it".to_owned(),
            })
        ),
    ))
}

/// Waits until no live process closes with this key.
pub async fn used_by_none(store: &Store, key: &HeldKey, patience: Duration) -> Outcome {
    let left = wait(store, patience, |holders| owned(closing_with(holders, key))).await?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Stop::new(
        Exit::Refused,
        format!(
            "{} still in use by live processes:\n{}\n\
             Give a worker the keyring file in which another key is primary; give an API the new sealing_public_key \
             and restart it; restart `patchbay up`.",
            of(key),
            lines(&left, |holder| {
                match (&holder.keys, holder.kind.as_str(), key.sort) {
                    (None, _, _) => "has not told which keys it uses".to_owned(),
                    (Some(_), "api" | "up", KeySort::Sealing) => "seals to it".to_owned(),
                    (Some(_), _, _) => "has it as primary".to_owned(),
                }
            })
        ),
    ))
}

/// That this copy of the file is not behind: the key promoted last is its primary one.
pub async fn newest_copy(store: &Store, keyring: &Keyring, patience: Duration) -> Outcome {
    let held = keyring.held();
    let Some(primary) = held.iter().find(|key| key.id == keyring.primary_id()) else {
        return Err(Stop::internal("a keyring has a primary key"));
    };
    if let Some(promoted) = store.promoted_keys().await?.wrapping
        && promoted != primary.name()
    {
        return Err(Stop::new(
            Exit::Refused,
            format!(
                "the key promoted last is `{promoted}`, but in this keyring file `{}` is primary: use the newest copy \
                 of the file, or finish with `patchbay keys promote`",
                primary.name()
            ),
        ));
    }
    known_to_all(store, primary, patience).await
}

async fn wait(
    store: &Store,
    patience: Duration,
    pick: impl Fn(&[Holder]) -> Vec<Holder>,
) -> Outcome<Vec<Holder>> {
    let give_up = Instant::now() + patience;
    loop {
        let left = pick(&store.key_holders().await?);
        if left.is_empty() || Instant::now() >= give_up {
            return Ok(left);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn owned(holders: Vec<&Holder>) -> Vec<Holder> {
    holders.into_iter().cloned().collect()
}

fn of(key: &HeldKey) -> String {
    format!("`{}` (fingerprint {}) is", key.id, key.fingerprint)
}

fn lines(holders: &[Holder], why: impl Fn(&Holder) -> String) -> String {
    let lines: Vec<String> = holders
        .iter()
        .map(|holder| {
            format!(
                "  {} on {}, version {}: {}",
                holder.kind,
                holder.host,
                holder.version,
                why(holder)
            )
        })
        .collect();
    lines.join("\n")
}
