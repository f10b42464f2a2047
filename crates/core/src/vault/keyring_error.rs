//! What can be wrong with a keyring, and what to do about it.

use std::path::Path;

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
    /// The file may not be written.
    #[error("keyring file {path}: {source}. Run this as the user that the file belongs to")]
    Unwritable {
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

impl KeyringError {
    pub(super) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Invalid(why) => Self::Damaged {
                path: path.display().to_string(),
                why,
            },
            other @ (Self::Unreadable { .. } | Self::Unwritable { .. } | Self::Damaged { .. }) => {
                other
            }
        }
    }
}

pub(super) fn invalid(why: String) -> KeyringError {
    KeyringError::Invalid(why)
}
