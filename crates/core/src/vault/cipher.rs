//! One blob format for everything encrypted at rest:
//!
//! `version (1) | algorithm (1) | length of key id (1) | key id | nonce (24) | ciphertext + tag (16)`
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): its 192-bit nonce may be random.
//! The associated data is the [`Place`], so a blob moved elsewhere does not open.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use rand::Rng;
use zeroize::Zeroizing;

use crate::ids::{DeploymentId, OrgId};

const VERSION: u8 = 1;
const XCHACHA20_POLY1305: u8 = 1;
const NONCE: usize = 24;

/// Where a blob stands: deployment, org, table, column, row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(Vec<u8>);

impl Place {
    /// Each part is prefixed with its length, so that no two places share bytes.
    #[must_use]
    pub fn new(deployment: DeploymentId, org: OrgId, table: &str, column: &str, row: &str) -> Self {
        let mut bytes = Vec::with_capacity(128);
        for part in [
            deployment.0.as_bytes() as &[u8],
            org.0.as_bytes(),
            table.as_bytes(),
            column.as_bytes(),
            row.as_bytes(),
        ] {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }
}

/// 256 bits from the system's generator.
#[must_use]
pub fn random_key() -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(&mut key[..]);
    key
}

/// How a blob closed with this key begins: rows are found by it.
#[must_use]
pub fn header(key_id: &str) -> Vec<u8> {
    let id_len = u8::try_from(key_id.len()).expect("key ids are checked when the keyring is read");
    let mut header = Vec::with_capacity(3 + key_id.len());
    header.extend_from_slice(&[VERSION, XCHACHA20_POLY1305, id_len]);
    header.extend_from_slice(key_id.as_bytes());
    header
}

/// Encrypts `plain` for its place. `key_id` names the key, at most 255 bytes.
#[must_use]
pub fn close(key_id: &str, key: &[u8; 32], place: &Place, plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE];
    rand::rng().fill_bytes(&mut nonce);
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(
            &nonce.into(),
            Payload {
                msg: plain,
                aad: &place.0,
            },
        )
        .expect("memory is the only limit, and a credential is small");
    let mut blob = header(key_id);
    blob.reserve(NONCE + sealed.len());
    blob.extend_from_slice(&nonce);
    blob.extend_from_slice(&sealed);
    blob
}

/// A blob taken apart, not yet opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob<'a> {
    /// Which key closed it.
    pub key_id: &'a str,
    nonce: &'a [u8; NONCE],
    sealed: &'a [u8],
}

impl<'a> Blob<'a> {
    /// Takes a blob apart; `None` for bytes that are none.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&[version, algorithm, id_len], rest) = bytes.split_first_chunk::<3>()?;
        if version != VERSION || algorithm != XCHACHA20_POLY1305 {
            return None;
        }
        let (key_id, rest) = rest.split_at_checked(id_len.into())?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        Some(Self {
            key_id: std::str::from_utf8(key_id).ok()?,
            nonce,
            sealed,
        })
    }

    /// The plain bytes; `None` with another key, at another place, or after any change.
    #[must_use]
    pub fn open(&self, key: &[u8; 32], place: &Place) -> Option<Zeroizing<Vec<u8>>> {
        XChaCha20Poly1305::new(key.into())
            .decrypt(
                self.nonce.into(),
                Payload {
                    msg: self.sealed,
                    aad: &place.0,
                },
            )
            .ok()
            .map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn place(row: &str) -> Place {
        Place::new(
            DeploymentId(Uuid::from_u128(1)),
            OrgId(Uuid::from_u128(2)),
            "credentials",
            "sealed",
            row,
        )
    }

    #[test]
    fn a_blob_opens_at_its_own_place_with_its_own_key() {
        let blob = close("k1", &[7; 32], &place("a"), b"token");
        let parsed = Blob::parse(&blob).expect("our own blob");
        assert_eq!(parsed.key_id, "k1");
        assert_eq!(
            parsed
                .open(&[7; 32], &place("a"))
                .expect("opens")
                .as_slice(),
            b"token"
        );
    }

    #[test]
    fn a_blob_opens_at_no_other_place_and_with_no_other_key() {
        let blob = close("k1", &[7; 32], &place("a"), b"token");
        let parsed = Blob::parse(&blob).expect("our own blob");
        assert!(parsed.open(&[7; 32], &place("b")).is_none());
        assert!(parsed.open(&[8; 32], &place("a")).is_none());
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused() {
        let blob = close("k1", &[7; 32], &place("a"), b"token");
        for len in 0..blob.len() {
            assert!(
                Blob::parse(&blob[..len])
                    .and_then(|b| b.open(&[7; 32], &place("a")))
                    .is_none()
            );
        }
        for bit in 0..blob.len() * 8 {
            let mut changed = blob.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = Blob::parse(&changed)
                .filter(|parsed| parsed.key_id == "k1")
                .and_then(|parsed| parsed.open(&[7; 32], &place("a")));
            assert!(opened.is_none(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_nothing_and_never_a_panic(bytes: Vec<u8>) {
            prop_assert!(Blob::parse(&bytes).and_then(|b| b.open(&[7; 32], &place("a"))).is_none());
        }
    }
}
