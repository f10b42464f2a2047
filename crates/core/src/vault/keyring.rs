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
//! secret = "base64 of 32 bytes"
//! ```

use std::{fmt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    cipher,
    sealing::{SealingPublicKey, SealingSecret},
};

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Known, not yet used.
    Standby,
    /// Closes and opens. Exactly one.
    Primary,
    /// Opens what it closed before.
    DecryptOnly,
    /// Neither.
    Disabled,
}

/// Why a keyring cannot be used. Names the file and the key, never its value.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file is not there or may not be read.
    #[error(
        "keyring file {path}: {source}. Make one with `patchbay keys init`, or point `keyring_file` at it"
    )]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no keyring.
    #[error(
        "keyring file {path}: {why}. Restore it from a backup: without its keys no credential opens"
    )]
    Damaged {
        /// Which file.
        path: String,
        /// Which rule it breaks.
        why: String,
    },
    /// A text is no keyring.
    #[error("keyring: {0}")]
    Invalid(String),
}

pub(super) struct WrappingKey {
    pub(super) id: String,
    pub(super) state: KeyState,
    pub(super) key: Zeroizing<[u8; 32]>,
}

/// The deployment's keys.
pub struct Keyring {
    keys: Vec<WrappingKey>,
    primary: usize,
    sealing: Vec<(String, SealingSecret)>,
    sealing_public: SealingPublicKey,
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
        Self::parse(&text).map_err(|error| match error {
            KeyringError::Invalid(why) => KeyringError::Damaged {
                path: path.display().to_string(),
                why,
            },
            other @ (KeyringError::Unreadable { .. } | KeyringError::Damaged { .. }) => other,
        })
    }

    /// Reads a keyring text: exactly one primary key, at least one sealing key
    /// (the last one is the one to seal to), ids of 1 to 64 letters, digits, `-` and `_`.
    ///
    /// # Errors
    /// [`KeyringError::Invalid`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let invalid = |what: String| KeyringError::Invalid(what);
        // The parser's own message quotes the line, and the line holds a key.
        let file: File = toml::from_str(text).map_err(|error: toml::de::Error| {
            invalid(format!(
                "not valid TOML of the documented shape: {}",
                error.message()
            ))
        })?;
        let mut seen = std::collections::HashSet::new();
        for id in file
            .keys
            .iter()
            .map(|key| &key.id)
            .chain(file.sealing.iter().map(|key| &key.id))
        {
            let letters = id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if id.is_empty() || id.len() > 64 || !letters {
                return Err(invalid(format!(
                    "key id `{id}` must be 1 to 64 letters, digits, `-` or `_`"
                )));
            }
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
        let primaries: Vec<usize> = (0..keys.len())
            .filter(|&i| keys[i].state == KeyState::Primary)
            .collect();
        let [primary] = primaries[..] else {
            return Err(invalid(format!(
                "exactly one key must be `primary`, found {}",
                primaries.len()
            )));
        };
        let sealing = file
            .sealing
            .into_iter()
            .map(|key| Ok((key.id.clone(), SealingSecret(bytes(&key.id, &key.secret)?))))
            .collect::<Result<Vec<_>, KeyringError>>()?;
        let sealing_public = sealing
            .last()
            .and_then(|(id, secret)| secret.public(id))
            .ok_or_else(|| invalid("at least one `[[sealing]]` key is needed".into()))?;
        Ok(Self {
            keys,
            primary,
            sealing,
            sealing_public,
        })
    }

    /// The text of a new keyring with one key of each sort.
    #[must_use]
    pub fn generate() -> Zeroizing<String> {
        let key = Zeroizing::new(STANDARD.encode(&cipher::random_key()[..]));
        let secret = Zeroizing::new(STANDARD.encode(&SealingSecret::generate().0[..]));
        Zeroizing::new(format!(
            "# Keys of this Patchbay deployment. Whoever has this file and the database has\n\
             # every credential: keep it readable by the workers only, and keep a copy elsewhere.\n\n\
             [[keys]]\nid = \"k1\"\nstate = \"primary\"\nkey = \"{}\"\n\n\
             [[sealing]]\nid = \"s1\"\nsecret = \"{}\"\n",
            &*key, &*secret
        ))
    }

    /// What API processes seal to.
    #[must_use]
    pub fn sealing_public(&self) -> &SealingPublicKey {
        &self.sealing_public
    }

    pub(super) fn primary(&self) -> &WrappingKey {
        &self.keys[self.primary]
    }

    pub(super) fn opening(&self, id: &str) -> Option<&WrappingKey> {
        self.keys
            .iter()
            .find(|key| key.id == id && key.state != KeyState::Disabled)
    }

    pub(super) fn sealing_secret(&self, id: &str) -> Option<&SealingSecret> {
        self.sealing
            .iter()
            .find(|(known, _)| known == id)
            .map(|(_, secret)| secret)
    }
}

fn bytes(id: &str, text: &str) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let decoded = STANDARD.decode(text.trim()).map(Zeroizing::new);
    decoded
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| KeyringError::Invalid(format!("key `{id}` must be the base64 of 32 bytes")))
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
    fn debug_shows_ids_and_states_only() {
        let keyring = Keyring::parse(&Keyring::generate()).expect("our own text");
        assert_eq!(format!("{keyring:?}"), "[(\"k1\", Primary)]");
    }
}
