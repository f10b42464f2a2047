//! One OAuth machine for all stand-ins: consent page, codes, grants, tokens, revocation.
//!
//! What differs from provider to provider stands in its [`rules::Rules`]. Redirect URIs
//! must match exactly at the consent page and in the token call, client id and secret are
//! checked, a PKCE challenge must be answered and a verifier without one is refused, a
//! code works once and only for minutes, refresh tokens rotate where the provider rotates
//! them and a replayed one ends the grant. A code's second use ends the grant as RFC 6749
//! section 4.1.2 advises, also where a provider does not document it.
//!
//! Laxer than any provider in one point: a client without registered redirect URIs may
//! go back to any loopback address.

mod authorize;
mod calls;
mod consent;
pub(crate) mod control;
mod ledger;
mod page;
pub(crate) mod params;
mod pkce;
pub(crate) mod refused;
pub(crate) mod rules;
mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::routing::{get, post};

use crate::clock::Clock;
pub use authorize::{Answer, Decision};
pub(crate) use calls::{Calls, count};
pub use calls::{GrantType, TokenCalls};
pub use control::Consent;
pub use ledger::{Account, Client, Ended, GrantState, Kind};
pub(crate) use ledger::{Bearer, Dead, Issued, Ledger, Reach, Token};
use rules::Rules;

/// A provider's clients, accounts, grants and tokens. Clones share them.
#[derive(Debug, Clone)]
pub struct OAuth {
    pub(crate) rules: &'static Rules,
    pub(crate) clock: Clock,
    pub(crate) calls: Calls,
    ledger: Arc<Mutex<Ledger>>,
    standing: Arc<Mutex<Option<Answer>>>,
}

impl OAuth {
    pub(crate) fn new(
        rules: &'static Rules,
        clients: Vec<Client>,
        accounts: Vec<Account>,
        clock: Clock,
    ) -> Self {
        Self {
            rules,
            clock,
            calls: Calls::default(),
            ledger: Arc::new(Mutex::new(Ledger::new(rules, clients, accounts))),
            standing: Arc::default(),
        }
    }

    /// A panicking handler leaves whole rows behind, so its lock can be used on.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client, or replaces the one of the same id.
    pub fn add_client(&self, client: Client) {
        self.ledger()
            .clients
            .insert(client.client_id.clone(), client);
    }

    /// Gives every client these redirect URIs; none leaves them at any loopback address.
    pub(crate) fn register(&self, redirect_uris: &[String]) {
        for client in self.ledger().clients.values_mut() {
            client.redirect_uris = redirect_uris.to_vec();
        }
    }

    /// Answers the consent page in the person's place from now on; `None` shows it again.
    pub fn answer_always(&self, answer: Option<Answer>) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    fn standing_answer(&self) -> Option<Answer> {
        self.standing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Life of access tokens issued from now on, where the provider lets them expire.
    pub fn set_access_seconds(&self, seconds: u64) {
        self.ledger().access_seconds = Some(seconds);
    }

    /// Life of codes issued from now on.
    pub fn set_code_seconds(&self, seconds: u64) {
        self.ledger().code_seconds = seconds;
    }

    /// Lets the tokens of one account, or of all, run out now. Returns how many did.
    pub fn expire(&self, account: Option<&str>, kind: Kind) -> usize {
        self.ledger().expire(account, kind, self.clock.now_ms())
    }

    /// The owner of the account, or of all, takes the grants back in the provider's
    /// settings. Returns how many ended.
    pub fn take_back(&self, account: Option<&str>) -> usize {
        self.ledger().end_all(account, None, Ended::ByOwner)
    }

    /// Every code and token there ever was, so that a test can look for them where none may be.
    #[must_use]
    pub fn minted(&self) -> Vec<String> {
        self.ledger().minted.clone()
    }

    /// Every grant there was, oldest first.
    #[must_use]
    pub fn grants(&self) -> Vec<GrantState> {
        self.ledger().grants()
    }

    /// Token calls so far, by grant type.
    #[must_use]
    pub fn token_calls(&self) -> BTreeMap<GrantType, TokenCalls> {
        self.calls.read()
    }

    /// Token calls with `grant_type=refresh_token` that arrived.
    #[must_use]
    pub fn refresh_calls(&self) -> u64 {
        let calls = self.calls.read();
        calls
            .get(&GrantType::RefreshToken)
            .map_or(0, |calls| calls.arrived)
    }

    pub(crate) fn bearer(&self, token: &str) -> Result<Bearer, Dead> {
        self.ledger().bearer(token, self.clock.now_ms())
    }

    /// Consent page and token endpoint.
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route(
                self.rules.authorize_path,
                get(consent::show).post(consent::take),
            )
            .route(self.rules.token_path, post(token::token))
            .with_state(self.clone())
    }
}
