//! Signatures of outbound webhooks as Standard Webhooks defines them, version `v1`
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>):
//! HMAC-SHA256 over `id.timestamp.body`. It signs; whoever receives verifies.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What a secret begins with, so that it is known for what it is.
const PREFIX: &str = "whsec_";
/// Random bytes of a new secret. The standard asks for 24 to 64; SHA-256 gains nothing
/// from more than its own 32.
const BYTES: usize = 32;

/// The header that names the message. It stays over all attempts.
pub const ID_HEADER: &str = "webhook-id";
/// The header that says when an attempt was made, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// A new secret as the receiver is given it: `whsec_` and base64.
#[must_use]
pub fn new_secret() -> Secret {
    let mut bytes = Zeroizing::new([0; BYTES]);
    rand::rng().fill_bytes(&mut bytes[..]);
    let text = Zeroizing::new(BASE64_STANDARD.encode(&bytes[..]));
    Secret::new(format!("{PREFIX}{}", *text))
}

/// A key that signs.
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl SigningKey {
    /// The key of a secret; `None` for a text that is no secret.
    #[must_use]
    pub fn of(secret: &Secret) -> Option<Self> {
        let text = secret.expose().strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(BASE64_STANDARD.decode(text).ok()?);
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// The value of [`SIGNATURE_HEADER`]. `timestamp` is in seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("HMAC takes a key of any length (RFC 2104)");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        format!("v1,{signature}")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(••••)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<SigningKey> {
        SigningKey::of(&Secret::new(text))
    }

    /// The vector that the standard's own libraries are tested with.
    #[test]
    fn the_vector_of_the_standard_is_signed_as_it_says() {
        let signature = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_secret_has_256_bits_and_is_another_each_time() {
        let (one, other) = (new_secret(), new_secret());
        assert_eq!(SigningKey::of(&one).unwrap().0.len(), 32);
        assert_ne!(one, other);
    }

    #[test]
    fn other_texts_are_no_secrets_and_a_key_is_not_printed() {
        for text in ["", "whsec_", "MfKQ9r8G", "whsec_not base64"] {
            assert!(key(text).is_none(), "{text}");
        }
        assert_eq!(
            format!("{:?}", key("whsec_MfKQ9r8G")),
            "Some(SigningKey(••••))"
        );
    }
}
