//! A refresh token becomes new tokens; a replayed one ends the grant.

use super::ending::Ended;
use super::{Issue, Issued, Ledger, RefreshState};
use crate::oauth::params::{Params, scopes};
use crate::oauth::refused::Refused;
use crate::oauth::rules::{Renewal, Secret, TermsAsk};

/// A token call with `grant_type=refresh_token`.
#[derive(Debug)]
pub(crate) struct Refreshing<'a> {
    pub client_id: &'a str,
    pub has_secret: bool,
    pub params: &'a Params,
    pub narrows: bool,
    pub now_ms: i64,
}

impl Ledger {
    /// # Errors
    /// Nothing was handed out. Where tokens rotate, a used one ends the grant.
    pub fn refresh(&mut self, ask: &Refreshing<'_>) -> Result<Issued, Refused> {
        let now_ms = ask.now_ms;
        let text = ask
            .params
            .get("refresh_token")
            .ok_or(Refused::Missing("refresh_token"))?;
        let row = self.refresh.get(text).ok_or(Refused::UnknownRefresh)?;
        let (number, user, held, until) = (row.grant, row.user, row.scopes.clone(), row.until_ms);
        let (state, parent) = (row.state, row.parent.clone());
        let grant = self.grants.get(&number).ok_or(Refused::UnknownRefresh)?;
        if grant.client_id != ask.client_id {
            return Err(Refused::OfAnotherClient);
        }
        if grant.ended.is_some() {
            return Err(Refused::GrantEnded);
        }
        if until.is_some_and(|until| until <= now_ms) {
            return Err(Refused::RefreshExpired);
        }
        if self.rules.secret == Secret::UnlessPkce {
            match (grant.by_pkce, ask.has_secret) {
                (true, true) => return Err(Refused::SecretInPkceFlow),
                (false, false) => return Err(Refused::Missing("client_secret")),
                (true, false) | (false, true) => {}
            }
        }
        let (account, by_pkce, lasting) = (grant.account.clone(), grant.by_pkce, grant.lasting);
        if !self.is_usable(state, now_ms) {
            self.end(number, Ended::Replay);
            return Err(Refused::RefreshReplayed);
        }
        let mut narrowed = narrowed(held, ask.params)?;
        if ask.narrows && narrowed.len() > 1 {
            narrowed.pop();
        }
        let terms = (self.rules.terms)(&TermsAsk {
            client: &self.clients[ask.client_id],
            by_pkce,
            lasting,
            is_refresh: true,
            params: ask.params,
        });
        if matches!(terms.renewal, Renewal::Rotating { .. }) {
            self.replace(text, state, parent, now_ms);
        }
        let token = self.issue(Issue {
            grant: number,
            user,
            scopes: narrowed,
            terms,
            used: Some(text),
            now_ms,
        });
        let (main, user) = match user {
            false => (Some(token), None),
            true => (None, Some(token)),
        };
        Ok(Issued {
            account,
            short_lived: terms.short_lived,
            is_refresh: true,
            main,
            user,
        })
    }

    fn is_usable(&self, state: RefreshState, now_ms: i64) -> bool {
        match state {
            RefreshState::Live => true,
            RefreshState::Replaced { at_ms } => self
                .rules
                .grace_seconds
                .is_some_and(|seconds| now_ms < super::after(at_ms, seconds)),
            RefreshState::Superseded => false,
        }
    }

    /// The token is used; with it the right of the one before, and of others made from
    /// the same, ends.
    fn replace(&mut self, text: &str, state: RefreshState, parent: Option<String>, now_ms: i64) {
        if let (RefreshState::Live, Some(row)) = (state, self.refresh.get_mut(text)) {
            row.state = RefreshState::Replaced { at_ms: now_ms };
        }
        // Without grace a used token is refused anyway.
        let (Some(parent), Some(_)) = (parent, self.rules.grace_seconds) else {
            return;
        };
        if let Some(row) = self.refresh.get_mut(&parent) {
            row.state = RefreshState::Superseded;
        }
        for (sibling, row) in &mut self.refresh {
            if sibling != text && row.parent.as_ref() == Some(&parent) {
                row.state = RefreshState::Superseded;
            }
        }
    }
}

/// Square's `scopes`, or the standard's `scope`: fewer than held, never more.
fn narrowed(held: Vec<String>, params: &Params) -> Result<Vec<String>, Refused> {
    let asked = params.get("scopes").or_else(|| params.get("scope"));
    let asked = scopes(asked, ' ');
    if asked.is_empty() {
        return Ok(held);
    }
    if asked.iter().all(|scope| held.contains(scope)) {
        Ok(asked)
    } else {
        Err(Refused::WiderScopes)
    }
}
