//! What a provider remembers: clients, accounts, codes, grants, tokens.
//!
//! Knows no HTTP and no wording. A token's text is the key to its row and leaves the
//! ledger only when it is handed out.

mod client;
mod ending;
mod exchange;
mod renewal;

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt;
use serde::Serialize;

use super::pkce::Challenge;
use super::rules::{Minted, Renewal, Rules, Terms};
pub use client::{Account, Client};
pub(crate) use ending::Reach;
pub use ending::{Ended, Kind};
pub(crate) use exchange::Exchange;
pub(crate) use renewal::Refreshing;

#[derive(Debug)]
pub(crate) struct Ledger {
    pub rules: &'static Rules,
    pub clients: BTreeMap<String, Client>,
    pub accounts: Vec<Account>,
    /// In place of the provider's own lives.
    pub access_seconds: Option<u64>,
    pub code_seconds: u64,
    codes: HashMap<String, Code>,
    grants: BTreeMap<u64, Grant>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    /// Every code and token there ever was.
    pub minted: Vec<String>,
}

/// What a person agreed to.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    pub client_id: String,
    pub account: Account,
    pub scopes: Vec<String>,
    pub user_scopes: Vec<String>,
    /// As sent; the token call must repeat it.
    pub redirect_uri: Option<String>,
    pub challenge: Option<Challenge>,
    pub lasting: bool,
}

#[derive(Debug)]
struct Code {
    agreed: Agreed,
    until_ms: i64,
    grant: Option<u64>,
}

#[derive(Debug)]
struct Grant {
    client_id: String,
    account: Account,
    by_pkce: bool,
    lasting: bool,
    ended: Option<Ended>,
    /// Its access tokens, oldest first.
    access: Vec<String>,
}

#[derive(Debug)]
struct Access {
    grant: u64,
    scopes: Vec<String>,
    user: bool,
    until_ms: Option<i64>,
    revoked: bool,
}

#[derive(Debug)]
struct Refresh {
    grant: u64,
    scopes: Vec<String>,
    user: bool,
    until_ms: Option<i64>,
    state: RefreshState,
    /// The token whose use made this one.
    parent: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefreshState {
    Live,
    /// Used, first at this time.
    Replaced {
        at_ms: i64,
    },
    /// Its replacement was used.
    Superseded,
}

/// What the token endpoint hands out.
#[derive(Debug)]
pub(crate) struct Issued {
    pub account: Account,
    pub short_lived: bool,
    pub is_refresh: bool,
    /// None where only the person's scopes were granted (Slack).
    pub main: Option<Token>,
    pub user: Option<Token>,
}

#[derive(Debug)]
pub(crate) struct Token {
    pub access: String,
    pub scopes: Vec<String>,
    pub seconds: Option<u64>,
    pub until_ms: Option<i64>,
    pub refresh: Option<RefreshToken>,
}

#[derive(Debug)]
pub(crate) struct RefreshToken {
    pub text: String,
    pub is_new: bool,
    pub seconds: Option<u64>,
    pub until_ms: Option<i64>,
}

/// Whose a token is and what it may do.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    pub account: Account,
    pub client_id: String,
    pub scopes: Vec<String>,
    pub user: bool,
    pub until_ms: Option<i64>,
}

impl Bearer {
    pub fn holds(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope)
    }
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dead {
    Unknown,
    Expired,
    Revoked,
}

/// A grant as control calls show it.
#[derive(Debug, Clone, Serialize)]
pub struct GrantState {
    pub grant: u64,
    pub client_id: String,
    pub account: String,
    /// Why it no longer holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// Of its latest access token.
    pub scopes: Vec<String>,
    /// RFC 3339, of its latest access token; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    pub access_tokens: usize,
}

impl Ledger {
    pub fn new(rules: &'static Rules, clients: Vec<Client>, accounts: Vec<Account>) -> Self {
        Self {
            rules,
            clients: clients
                .into_iter()
                .map(|client| (client.client_id.clone(), client))
                .collect(),
            accounts,
            access_seconds: None,
            code_seconds: rules.code_seconds,
            codes: HashMap::new(),
            grants: BTreeMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            minted: Vec::new(),
        }
    }

    pub fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// The account has never consented to this client, or no consent of it holds.
    pub fn is_first(&self, client_id: &str, account_id: &str) -> bool {
        !self.grants.values().any(|grant| {
            grant.ended.is_none() && grant.client_id == client_id && grant.account.id == account_id
        })
    }

    /// Puts an agreement behind a code.
    pub fn code(&mut self, agreed: Agreed, now_ms: i64) -> String {
        let code = self.mint(Minted::Code, &agreed.account);
        let until_ms = after(now_ms, self.code_seconds);
        let row = Code {
            agreed,
            until_ms,
            grant: None,
        };
        self.codes.insert(code.clone(), row);
        code
    }

    /// # Errors
    /// Why the token opens nothing.
    pub fn bearer(&self, access_token: &str, now_ms: i64) -> Result<Bearer, Dead> {
        let access = self.access.get(access_token).ok_or(Dead::Unknown)?;
        let grant = self.grants.get(&access.grant).ok_or(Dead::Unknown)?;
        if access.revoked || grant.ended.is_some() {
            return Err(Dead::Revoked);
        }
        if access.until_ms.is_some_and(|until| until <= now_ms) {
            return Err(Dead::Expired);
        }
        Ok(Bearer {
            account: grant.account.clone(),
            client_id: grant.client_id.clone(),
            scopes: access.scopes.clone(),
            user: access.user,
            until_ms: access.until_ms,
        })
    }

    pub fn grants(&self) -> Vec<GrantState> {
        let state = |(number, grant): (&u64, &Grant)| {
            let latest = grant.access.last().and_then(|text| self.access.get(text));
            let until = latest.and_then(|access| access.until_ms);
            GrantState {
                grant: *number,
                client_id: grant.client_id.clone(),
                account: grant.account.id.clone(),
                ended: grant.ended,
                scopes: latest
                    .map(|access| access.scopes.clone())
                    .unwrap_or_default(),
                expires_at: until.map(crate::clock::rfc3339),
                access_tokens: grant.access.len(),
            }
        };
        self.grants.iter().map(state).collect()
    }

    fn mint(&mut self, minted: Minted, account: &Account) -> String {
        let random: [u8; 32] = rand::rng().random();
        let prefix = (self.rules.prefix)(minted, account);
        let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random));
        self.minted.push(text.clone());
        text
    }

    /// Hands out an access token, and a refresh token where the terms give one.
    fn issue(&mut self, issue: Issue<'_>) -> Token {
        let Issue {
            grant: number,
            user,
            scopes,
            terms,
            used,
            now_ms,
        } = issue;
        let seconds = match terms.access_seconds {
            Some(seconds) => Some(self.access_seconds.unwrap_or(seconds)),
            None => None,
        };
        let until_ms = seconds.map(|seconds| after(now_ms, seconds));
        let grant = self
            .grants
            .get(&number)
            .expect("the caller has just found or made it");
        let account = grant.account.clone();
        let expires = seconds.is_some();
        let access = self.mint(Minted::Access { user, expires }, &account);
        self.access.insert(
            access.clone(),
            Access {
                grant: number,
                scopes: scopes.clone(),
                user,
                until_ms,
                revoked: false,
            },
        );
        self.keep_access(number, user, &access);
        let refresh = match (terms.renewal, used) {
            (Renewal::None, _) => None,
            (Renewal::Same, Some(used)) => Some(RefreshToken {
                text: used.to_owned(),
                is_new: false,
                seconds: None,
                until_ms: None,
            }),
            (Renewal::Same, None) => {
                Some(self.add_refresh(number, user, &scopes, None, None, now_ms))
            }
            (Renewal::Rotating { seconds }, used) => {
                let parent = used.map(str::to_owned);
                Some(self.add_refresh(number, user, &scopes, seconds, parent, now_ms))
            }
        };
        Token {
            access,
            scopes,
            seconds,
            until_ms,
            refresh,
        }
    }

    fn add_refresh(
        &mut self,
        number: u64,
        user: bool,
        scopes: &[String],
        seconds: Option<u64>,
        parent: Option<String>,
        now_ms: i64,
    ) -> RefreshToken {
        let account = self.grants[&number].account.clone();
        let text = self.mint(Minted::Refresh, &account);
        let until_ms = seconds.map(|seconds| after(now_ms, seconds));
        self.refresh.insert(
            text.clone(),
            Refresh {
                grant: number,
                scopes: scopes.to_vec(),
                user,
                until_ms,
                state: RefreshState::Live,
                parent,
            },
        );
        RefreshToken {
            text,
            is_new: true,
            seconds,
            until_ms,
        }
    }

    /// Remembers a grant's access token; the oldest beyond the provider's cap dies.
    fn keep_access(&mut self, number: u64, user: bool, token: &str) {
        let Some(grant) = self.grants.get_mut(&number) else {
            return;
        };
        grant.access.push(token.to_owned());
        let Some(cap) = self.rules.access_tokens else {
            return;
        };
        let is_same = |text: &&String| {
            let access = self.access.get(*text);
            access.is_some_and(|access| access.user == user)
        };
        let surplus: Vec<String> = grant
            .access
            .iter()
            .rev()
            .filter(is_same)
            .skip(cap)
            .cloned()
            .collect();
        for text in surplus {
            if let Some(access) = self.access.get_mut(&text) {
                access.revoked = true;
            }
        }
    }
}

struct Issue<'a> {
    grant: u64,
    user: bool,
    scopes: Vec<String>,
    terms: Terms,
    /// The refresh token that was used.
    used: Option<&'a str>,
    now_ms: i64,
}

/// So many seconds later, without overflow.
fn after(now_ms: i64, seconds: u64) -> i64 {
    let ms = i64::try_from(seconds)
        .unwrap_or(i64::MAX / 2000)
        .min(i64::MAX / 2000)
        * 1000;
    now_ms.saturating_add(ms)
}
