//! A code becomes a grant: once, for its client, its redirect URI, its verifier.

use super::ending::Ended;
use super::{Agreed, Grant, Issue, Issued, Ledger};
use crate::oauth::params::Params;
use crate::oauth::refused::Refused;
use crate::oauth::rules::{Secret, TermsAsk};

/// A token call with `grant_type=authorization_code`.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub client_id: &'a str,
    /// The client proved itself by its secret.
    pub has_secret: bool,
    pub params: &'a Params,
    /// By a fault: PKCE is not looked at.
    pub ignores_pkce: bool,
    /// By a fault: the last scope is not granted.
    pub narrows: bool,
    pub now_ms: i64,
}

impl Ledger {
    /// # Errors
    /// Nothing was granted, and the code stays as it was; a second use of a code ends
    /// what the first gave where the provider does so.
    pub fn exchange(&mut self, ask: &Exchange<'_>) -> Result<Issued, Refused> {
        let now_ms = ask.now_ms;
        let text = ask.params.get("code").ok_or(Refused::Missing("code"))?;
        let unknown = || Refused::UnknownCode(ask.client_id.to_owned());
        let code = self.codes.get(text).ok_or_else(unknown)?;
        if code.agreed.client_id != ask.client_id {
            return Err(Refused::OfAnotherClient);
        }
        if let Some(grant) = code.grant {
            if self.rules.reuse_ends_grant {
                self.end(grant, Ended::CodeReused);
            }
            return Err(Refused::CodeUsed);
        }
        if code.until_ms <= now_ms {
            return Err(Refused::CodeExpired);
        }
        let agreed = code.agreed.clone();
        self.check_redirect(&agreed, ask.params)?;
        if !ask.ignores_pkce {
            check_verifier(&agreed, ask.params)?;
        }
        let by_pkce = agreed.challenge.is_some();
        if self.rules.secret == Secret::UnlessPkce {
            match (by_pkce, ask.has_secret) {
                (true, true) => return Err(Refused::SecretInPkceFlow),
                (false, false) => return Err(Refused::Missing("client_secret")),
                (true, false) | (false, true) => {}
            }
        }
        let grant = self.begin(&agreed, by_pkce);
        if let Some(code) = self.codes.get_mut(text) {
            code.grant = Some(grant);
        }
        Ok(self.first_tokens(grant, agreed, ask))
    }

    fn check_redirect(&self, agreed: &Agreed, params: &Params) -> Result<(), Refused> {
        let sent = params.get("redirect_uri");
        let is_right = match (&agreed.redirect_uri, sent) {
            (Some(at_consent), Some(sent)) => at_consent == sent,
            (Some(_), None) => false,
            (None, None) => true,
            (None, Some(sent)) => self
                .clients
                .get(&agreed.client_id)
                .is_some_and(|client| client.redirect_uris.iter().any(|uri| uri == sent)),
        };
        if is_right || !self.rules.repeats_redirect {
            Ok(())
        } else {
            Err(Refused::RedirectMismatch)
        }
    }

    fn begin(&mut self, agreed: &Agreed, by_pkce: bool) -> u64 {
        if let Some(cap) = self.rules.grants {
            let alive: Vec<u64> = self
                .grants
                .iter()
                .rev()
                .filter(|(_, grant)| {
                    grant.ended.is_none()
                        && grant.client_id == agreed.client_id
                        && grant.account == agreed.account
                })
                .map(|(number, _)| *number)
                .collect();
            for number in alive.into_iter().skip(cap - 1) {
                self.end(number, Ended::TooMany);
            }
        }
        let number = self.grants.last_key_value().map_or(1, |(last, _)| last + 1);
        self.grants.insert(
            number,
            Grant {
                client_id: agreed.client_id.clone(),
                account: agreed.account.clone(),
                by_pkce,
                lasting: agreed.lasting,
                ended: None,
                access: Vec::new(),
            },
        );
        number
    }

    fn first_tokens(&mut self, grant: u64, agreed: Agreed, ask: &Exchange<'_>) -> Issued {
        let terms = (self.rules.terms)(&TermsAsk {
            client: &self.clients[&agreed.client_id],
            by_pkce: agreed.challenge.is_some(),
            lasting: agreed.lasting,
            is_refresh: false,
            params: ask.params,
        });
        let Agreed {
            account,
            mut scopes,
            user_scopes,
            ..
        } = agreed;
        if ask.narrows && scopes.len() > 1 {
            scopes.pop();
        }
        let mut token = |user: bool, scopes: Vec<String>| {
            (!scopes.is_empty()).then(|| {
                self.issue(Issue {
                    grant,
                    user,
                    scopes,
                    terms,
                    used: None,
                    now_ms: ask.now_ms,
                })
            })
        };
        Issued {
            account,
            short_lived: terms.short_lived,
            is_refresh: false,
            main: token(false, scopes),
            user: token(true, user_scopes),
        }
    }
}

fn check_verifier(agreed: &Agreed, params: &Params) -> Result<(), Refused> {
    match (&agreed.challenge, params.get("code_verifier")) {
        (Some(challenge), Some(verifier)) if challenge.is_answered_by(verifier) => Ok(()),
        (Some(_), Some(_)) => Err(Refused::VerifierWrong),
        (Some(_), None) => Err(Refused::VerifierMissing),
        (None, Some(_)) => Err(Refused::VerifierNotNeeded),
        (None, None) => Ok(()),
    }
}
