//! The deployment's keys, from a TOML file that only workers can read:
//!
//! ```toml
//! [[keys]]
//! id = "k1"
//! state = "primary"            # standby | primary | decrypt_only | disabled
//! key = "base64 of 32 bytes"
//!
//! [[sealing]]
//! id = "s1"
//! state = "primary"            # no state at all: the last sealing key is the primary one
//! secret = "base64 of 32 bytes"
//! ```
//!
//! How the file is changed is in [`super::keyring_file`].

use std::{collections::HashSet, fmt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    columns,
    holders::{HeldKey, KeySort},
    keyring_error::{KeyringError, invalid},
    keyring_file::{Entry, render},
    sealing::{SealingPublicKey, SealingSecret},
};

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Known, not yet used. It opens all the same: another process may use it already.
    Standby,
    /// Closes and opens. Exactly one of each sort.
    Primary,
    /// Opens what it closed before.
    DecryptOnly,
    /// Neither.
    Disabled,
}

impl KeyState {
    /// The word in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Primary => "primary",
            Self::DecryptOnly => "decrypt_only",
            Self::Disabled => "disabled",
        }
    }

    /// Whether a key in this state opens.
    #[must_use]
    pub fn opens(self) -> bool {
        match self {
            Self::Standby | Self::Primary | Self::DecryptOnly => true,
            Self::Disabled => false,
        }
    }
}

pub(super) struct WrappingKey {
    pub(super) id: String,
    pub(super) state: KeyState,
    pub(super) key: Zeroizing<[u8; 32]>,
}

struct SealingKey {
    id: String,
    state: KeyState,
    secret: SealingSecret,
    public: SealingPublicKey,
}

/// The deployment's keys.
pub struct Keyring {
    keys: Vec<WrappingKey>,
    primary: usize,
    sealing: Vec<SealingKey>,
    sealing_primary: usize,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| (&key.id, key.state)))
            .finish()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    keys: Vec<FileKey>,
    sealing: Vec<FileSealing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKey {
    id: String,
    state: KeyState,
    key: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSealing {
    id: String,
    state: Option<KeyState>,
    secret: Zeroizing<String>,
}

impl Keyring {
    /// Reads a keyring file.
    ///
    /// # Errors
    /// The file is missing, unreadable, or breaks the rules of [`Self::parse`].
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|source| KeyringError::Unreadable {
                path: path.display().to_string(),
                source,
            })?;
        Self::parse(&text).map_err(|error| error.in_file(path))
    }

    /// Reads a keyring text: of each sort exactly one primary key, ids of 1 to 64 letters,
    /// digits, `-` and `_`, none twice.
    ///
    /// # Errors
    /// [`KeyringError::Invalid`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        // The parser's own message quotes the line, and the line holds a key.
        let file: File = toml::from_str(text).map_err(|error: toml::de::Error| {
            invalid(format!(
                "not valid TOML of the documented shape: {}",
                error.message()
            ))
        })?;
        let mut seen = HashSet::new();
        let sealing_ids = file.sealing.iter().map(|key| &key.id);
        for id in file.keys.iter().map(|key| &key.id).chain(sealing_ids) {
            check_id(id)?;
            if !seen.insert(id.clone()) {
                return Err(invalid(format!("key id `{id}` stands twice")));
            }
        }
        let keys = file
            .keys
            .into_iter()
            .map(|key| {
                Ok(WrappingKey {
                    key: bytes(&key.id, &key.key)?,
                    id: key.id,
                    state: key.state,
                })
            })
            .collect::<Result<Vec<_>, KeyringError>>()?;
        let sealing = sealing_keys(file.sealing)?;
        Ok(Self {
            primary: the_primary("key", keys.iter().map(|key| key.state))?,
            sealing_primary: the_primary("sealing key", sealing.iter().map(|key| key.state))?,
            keys,
            sealing,
        })
    }

    /// The text of a new keyring with one key of each sort.
    #[must_use]
    pub fn generate() -> Zeroizing<String> {
        render(&[
            Entry::random("k1", KeySort::Wrapping, KeyState::Primary),
            Entry::random("s1", KeySort::Sealing, KeyState::Primary),
        ])
    }

    /// What API processes seal to.
    #[must_use]
    pub fn sealing_public(&self) -> &SealingPublicKey {
        &self.sealing[self.sealing_primary].public
    }

    /// The public half of any sealing key.
    #[must_use]
    pub fn sealing_public_of(&self, id: &str) -> Option<&SealingPublicKey> {
        let found = self.sealing.iter().find(|key| key.id == id);
        found.map(|key| &key.public)
    }

    /// Every key by id, state and fingerprint, never its value.
    #[must_use]
    pub fn held(&self) -> Vec<HeldKey> {
        let wrapping = self.keys.iter().map(|key| HeldKey {
            id: key.id.clone(),
            sort: KeySort::Wrapping,
            state: key.state,
            fingerprint: fingerprint(&key.key[..]),
        });
        let sealing = self.sealing.iter().map(|key| HeldKey {
            id: key.id.clone(),
            sort: KeySort::Sealing,
            state: key.state,
            fingerprint: key.public.fingerprint(),
        });
        wrapping.chain(sealing).collect()
    }

    /// The id of the key that closes.
    #[must_use]
    pub fn primary_id(&self) -> &str {
        &self.primary().id
    }

    pub(super) fn primary(&self) -> &WrappingKey {
        &self.keys[self.primary]
    }

    pub(super) fn opening(&self, id: &str) -> Option<&WrappingKey> {
        let found = self.keys.iter().find(|key| key.id == id);
        found.filter(|key| key.state.opens())
    }

    pub(super) fn sealing_secret(&self, id: &str) -> Option<&SealingSecret> {
        let found = self.sealing.iter().find(|key| key.id == id);
        found.filter(|key| key.state.opens()).map(|key| &key.secret)
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let wrapping = self.keys.iter().map(|key| Entry {
            id: key.id.clone(),
            sort: KeySort::Wrapping,
            state: key.state,
            key: key.key.clone(),
        });
        let sealing = self.sealing.iter().map(|key| Entry {
            id: key.id.clone(),
            sort: KeySort::Sealing,
            state: key.state,
            key: key.secret.0.clone(),
        });
        wrapping.chain(sealing).collect()
    }
}

/// A key's name for people and for comparing: 64 bits of a hash of random 256, so it
/// tells nothing of the key.
pub(super) fn fingerprint(key: &[u8]) -> String {
    let hash = Sha256::new()
        .chain_update(b"patchbay key fingerprint 1")
        .chain_update(key)
        .finalize();
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn check_id(id: &str) -> Result<(), KeyringError> {
    let letters = id
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if id.is_empty() || id.len() > 64 || !letters {
        return Err(invalid(format!(
            "key id `{id}` must be 1 to 64 letters, digits, `-` or `_`"
        )));
    }
    if id == columns::MOVED {
        return Err(invalid(format!("key id `{id}` has a meaning of its own")));
    }
    Ok(())
}

fn sealing_keys(file: Vec<FileSealing>) -> Result<Vec<SealingKey>, KeyringError> {
    let unmarked = file.iter().all(|key| key.state.is_none());
    let last = file.len().saturating_sub(1);
    let keys = file.into_iter().enumerate().map(|(at, key)| {
        let secret = SealingSecret(bytes(&key.id, &key.secret)?);
        let public = secret
            .public(&key.id)
            .ok_or_else(|| invalid(format!("key `{}` is no X25519 key", key.id)))?;
        let state = key.state.unwrap_or(if unmarked && at == last {
            KeyState::Primary
        } else {
            KeyState::DecryptOnly
        });
        Ok(SealingKey {
            id: key.id,
            state,
            secret,
            public,
        })
    });
    keys.collect()
}

fn the_primary(what: &str, states: impl Iterator<Item = KeyState>) -> Result<usize, KeyringError> {
    let primaries: Vec<usize> = states
        .enumerate()
        .filter_map(|(at, state)| (state == KeyState::Primary).then_some(at))
        .collect();
    let [primary] = primaries[..] else {
        return Err(invalid(format!(
            "exactly one {what} must be `primary`, found {}",
            primaries.len()
        )));
    };
    Ok(primary)
}

fn bytes(id: &str, text: &str) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let decoded = STANDARD.decode(text.trim()).map(Zeroizing::new);
    decoded
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| invalid(format!("key `{id}` must be the base64 of 32 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_keyring_reads_back() {
        let keyring = Keyring::parse(&Keyring::generate()).expect("our own text");
        assert_eq!(keyring.primary().id, "k1");
        assert!(keyring.sealing_secret("s1").is_some());
        assert!(keyring.opening("k2").is_none());
    }

    #[test]
    fn a_broken_keyring_says_which_rule_and_shows_no_key() {
        let text = Keyring::generate().replace("primary", "standby");
        let error = Keyring::parse(&text).expect_err("no primary").to_string();
        assert_eq!(error, "keyring: exactly one key must be `primary`, found 0");
        let error = Keyring::parse(&Keyring::generate().replace("key = \"", "key = \"!!"))
            .expect_err("no base64");
        assert_eq!(
            error.to_string(),
            "keyring: key `k1` must be the base64 of 32 bytes"
        );
    }

    #[test]
    fn without_states_the_last_sealing_key_is_the_one_to_seal_to() {
        let key = |id: &str| {
            let entry = Entry::random(id, KeySort::Sealing, KeyState::Standby);
            format!(
                "[[sealing]]\nid = \"{id}\"\nsecret = \"{}\"\n",
                &*entry.text()
            )
        };
        let text = Keyring::generate();
        let (wrapping, _) = text.split_once("[[sealing]]").expect("one of each sort");
        let text = format!("{wrapping}{}{}", key("s1"), key("s2"));
        let keyring = Keyring::parse(&text).expect("an older file");
        assert!(keyring.sealing_public().to_string().starts_with("s2:"));
        assert!(keyring.sealing_secret("s1").is_some());
    }

    #[test]
    fn debug_shows_ids_and_states_only() {
        let keyring = Keyring::parse(&Keyring::generate()).expect("our own text");
        assert_eq!(format!("{keyring:?}"), "[(\"k1\", Primary)]");
    }
}
