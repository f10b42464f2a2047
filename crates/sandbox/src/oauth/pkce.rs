//! Challenges and verifiers of RFC 7636.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::params::Params;
use super::rules::Pkce;

/// What a verifier must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    S256(String),
    Plain(String),
}

impl Challenge {
    /// Of an authorization request.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn of(params: &Params, pkce: Pkce) -> Result<Option<Self>, &'static str> {
        if pkce == Pkce::Unknown {
            return Ok(None);
        }
        let plain_by_default = matches!(
            pkce,
            Pkce::Checked {
                plain_by_default: true
            }
        );
        let Some(text) = params.get("code_challenge") else {
            return match pkce {
                Pkce::Required => Err("code_challenge is missing"),
                Pkce::Checked { .. } | Pkce::Unknown
                    if params.get("code_challenge_method").is_some() =>
                {
                    Err("code_challenge_method came without code_challenge")
                }
                Pkce::Checked { .. } | Pkce::Unknown => Ok(None),
            };
        };
        if !is_verifier(text) {
            return Err("code_challenge must have 43 to 128 unreserved characters");
        }
        match params.get("code_challenge_method") {
            Some("S256") => Ok(Some(Self::S256(text.to_owned()))),
            None if !plain_by_default && pkce != Pkce::Required => {
                Ok(Some(Self::S256(text.to_owned())))
            }
            Some("plain") | None if plain_by_default => Ok(Some(Self::Plain(text.to_owned()))),
            Some(_) | None => Err("code_challenge_method must be S256"),
        }
    }

    pub fn is_answered_by(&self, verifier: &str) -> bool {
        is_verifier(verifier)
            && match self {
                Self::S256(challenge) => {
                    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *challenge
                }
                Self::Plain(challenge) => verifier == challenge,
            }
    }
}

/// 43 to 128 unreserved characters (RFC 7636 section 4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_rfc_answers() {
        let mut params = Params::default();
        params.push(
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        );
        params.push("code_challenge_method", "S256");
        let challenge = Challenge::of(&params, Pkce::Required)
            .expect("valid")
            .expect("sent");
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(challenge.is_answered_by(verifier));
        assert!(!challenge.is_answered_by(&verifier.replace('d', "e")));
    }

    #[test]
    fn the_default_method_is_the_providers() {
        let mut params = Params::default();
        params.push(
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        );
        let of = |pkce| Challenge::of(&params, pkce);
        assert!(of(Pkce::Required).is_err());
        assert!(matches!(
            of(Pkce::Checked {
                plain_by_default: true
            }),
            Ok(Some(Challenge::Plain(_)))
        ));
        assert!(matches!(
            of(Pkce::Checked {
                plain_by_default: false
            }),
            Ok(Some(Challenge::S256(_)))
        ));
        assert_eq!(of(Pkce::Unknown), Ok(None));
    }
}
