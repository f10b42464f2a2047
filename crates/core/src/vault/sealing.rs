//! From the API to the workers: HPKE (RFC 9180) in base mode, DHKEM(X25519,
//! HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. The API can seal and cannot open.
//!
//! Format: encapsulated key (32) | ciphertext + tag (16).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal_with_rng,
};
use zeroize::Zeroizing;

use crate::{
    ids::{JobId, OrgId},
    job::SealedArgs,
    secret::SecretFields,
};

type Key = X25519HkdfSha256;
const ENCAPPED: usize = 32;

/// The public half of a sealing key: what an API process is given. Text form: `id:base64`.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingPublicKey {
    id: String,
    key: <Key as Kem>::PublicKey,
}

/// A text that is no sealing public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealing public key is written `id:base64 of 32 bytes`, as `patchbay keys init` prints it"
)]
pub struct InvalidSealingKey;

impl std::str::FromStr for SealingPublicKey {
    type Err = InvalidSealingKey;
    fn from_str(text: &str) -> Result<Self, InvalidSealingKey> {
        let (id, key) = text.trim().split_once(':').ok_or(InvalidSealingKey)?;
        if id.is_empty() || id.len() > 64 {
            return Err(InvalidSealingKey);
        }
        let bytes = STANDARD.decode(key).map_err(|_| InvalidSealingKey)?;
        let key = <Key as Kem>::PublicKey::from_bytes(&bytes).map_err(|_| InvalidSealingKey)?;
        Ok(Self {
            id: id.to_owned(),
            key,
        })
    }
}

impl fmt::Display for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, STANDARD.encode(self.key.to_bytes()))
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({})", self.id)
    }
}

impl SealingPublicKey {
    /// The id of its key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What people and processes compare it by.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        super::keyring::fingerprint(&self.key.to_bytes())
    }

    /// Seals the secret arguments of a job; only that job of that org can open them.
    #[must_use]
    pub fn seal(&self, org: OrgId, job: JobId, fields: &SecretFields) -> SealedArgs {
        let (encapped, ciphertext) =
            single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Key>(
                &OpModeS::Base,
                &self.key,
                &sealed_info(org, job),
                &fields.to_plain(),
                &[],
                &mut rand::rng(),
            )
            .expect("the key was checked when it was read, and one message is far below any limit");
        let mut bytes = encapped.to_bytes().to_vec();
        bytes.extend_from_slice(&ciphertext);
        SealedArgs {
            bytes,
            key_id: self.id.clone(),
        }
    }
}

/// What binds a sealed message to its job (the `info` of RFC 9180 section 5.1).
#[must_use]
pub fn sealed_info(org: OrgId, job: JobId) -> Vec<u8> {
    [
        b"patchbay job args 1" as &[u8],
        org.0.as_bytes(),
        job.0.as_bytes(),
    ]
    .concat()
}

/// A private sealing key, as bytes. Only the keyring makes one.
pub(super) struct SealingSecret(pub(super) Zeroizing<[u8; 32]>);

impl SealingSecret {
    /// A new pair's private half.
    pub(super) fn generate() -> Self {
        let (secret, _) = Key::derive_keypair(&super::cipher::random_key()[..]);
        let mut bytes = Zeroizing::new([0; 32]);
        secret.write_exact(&mut bytes[..]);
        Self(bytes)
    }

    pub(super) fn public(&self, id: &str) -> Option<SealingPublicKey> {
        let secret = <Key as Kem>::PrivateKey::from_bytes(&self.0[..]).ok()?;
        Some(SealingPublicKey {
            id: id.to_owned(),
            key: Key::sk_to_pk(&secret),
        })
    }
}

/// Opens a sealed message; `None` for another job, another org, or changed bytes.
pub(super) fn open(
    secret: &SealingSecret,
    info: &[u8],
    bytes: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (encapped, ciphertext) = bytes.split_at_checked(ENCAPPED)?;
    let secret = <Key as Kem>::PrivateKey::from_bytes(&secret.0[..]).ok()?;
    let encapped = <Key as Kem>::EncappedKey::from_bytes(encapped).ok()?;
    single_shot_open::<ChaCha20Poly1305, HkdfSha256, Key>(
        &OpModeR::Base,
        &secret,
        &encapped,
        info,
        ciphertext,
        &[],
    )
    .ok()
    .map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::secret::Secret;

    fn fields() -> SecretFields {
        SecretFields([("access_token".to_owned(), Secret::new("sq-very-secret"))].into())
    }

    fn ids() -> (OrgId, JobId) {
        (OrgId(Uuid::from_u128(1)), JobId(Uuid::from_u128(2)))
    }

    #[test]
    fn what_is_sealed_opens_for_its_job_and_for_no_other() {
        let secret = SealingSecret::generate();
        let public = secret.public("s1").expect("our own key");
        let (org, job) = ids();
        let sealed = public.seal(org, job, &fields());
        let plain = open(&secret, &sealed_info(org, job), &sealed.bytes).expect("opens");
        assert_eq!(SecretFields::from_plain(&plain).expect("ours"), fields());
        assert!(
            open(
                &secret,
                &sealed_info(org, JobId(Uuid::from_u128(3))),
                &sealed.bytes
            )
            .is_none()
        );
        assert!(
            open(
                &secret,
                &sealed_info(OrgId(Uuid::from_u128(3)), job),
                &sealed.bytes
            )
            .is_none()
        );
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_is_refused() {
        let secret = SealingSecret::generate();
        let (org, job) = ids();
        let sealed = secret
            .public("s1")
            .expect("our own key")
            .seal(org, job, &fields())
            .bytes;
        for len in 0..sealed.len() {
            assert!(open(&secret, &sealed_info(org, job), &sealed[..len]).is_none());
        }
        for byte in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[byte] ^= 1;
            assert!(
                open(&secret, &sealed_info(org, job), &changed).is_none(),
                "byte {byte}"
            );
        }
    }

    #[test]
    fn a_public_key_survives_its_text_form() {
        let public = SealingSecret::generate().public("s1").expect("our own key");
        assert_eq!(
            public
                .to_string()
                .parse::<SealingPublicKey>()
                .expect("reads back"),
            public
        );
        assert_eq!("s1".parse::<SealingPublicKey>(), Err(InvalidSealingKey));
    }

    proptest! {
        #[test]
        fn any_bytes_give_nothing_and_never_a_panic(bytes: Vec<u8>) {
            let (org, job) = ids();
            prop_assert!(open(&SealingSecret(Zeroizing::new([9; 32])), &sealed_info(org, job), &bytes).is_none());
        }
    }
}
