//! How a grant ends, and how its tokens run out.

use serde::{Deserialize, Serialize};

use super::{Ledger, RefreshState};

/// Why a grant no longer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The client revoked it.
    Revoked,
    /// The account's owner took it back in the provider's settings.
    ByOwner,
    /// A refresh token was used that had been replaced.
    Replay,
    /// Its code was used a second time.
    CodeReused,
    /// The account gave the client more grants than the provider keeps.
    TooMany,
}

/// Which tokens a control call lets run out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    Access,
    Refresh,
    All,
}

/// How far one revocation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The access token alone.
    Token,
    /// The access token, its like in the same grant, and what renews them.
    Chain,
    /// All that the account gave to the client.
    Account,
}

impl Ledger {
    pub(super) fn end(&mut self, grant: u64, why: Ended) {
        if let Some(grant) = self.grants.get_mut(&grant) {
            grant.ended.get_or_insert(why);
        }
    }

    /// Ends every grant of the account to the client; either may be left open. Returns
    /// how many ended.
    pub fn end_all(&mut self, account: Option<&str>, client: Option<&str>, why: Ended) -> usize {
        let mut ended = 0;
        for grant in self.grants.values_mut() {
            let is_meant = grant.ended.is_none()
                && account.is_none_or(|id| grant.account.id == id)
                && client.is_none_or(|id| grant.client_id == id);
            if is_meant {
                grant.ended = Some(why);
                ended += 1;
            }
        }
        ended
    }

    /// Revokes what an access or refresh token stands for. `false`: it stands for
    /// nothing that holds, or belongs to another client.
    pub fn revoke(&mut self, token: &str, client: Option<&str>, reach: Reach, now_ms: i64) -> bool {
        let number = match (self.access.get(token), self.refresh.get(token)) {
            (Some(access), _)
                if !access.revoked && access.until_ms.is_none_or(|at| at > now_ms) =>
            {
                access.grant
            }
            (_, Some(refresh)) if refresh.state == RefreshState::Live => refresh.grant,
            (Some(_), _) | (None, Some(_)) | (None, None) => return false,
        };
        let Some(grant) = self.grants.get(&number) else {
            return false;
        };
        if grant.ended.is_some() || client.is_some_and(|id| grant.client_id != id) {
            return false;
        }
        match reach {
            Reach::Token => {
                if let Some(access) = self.access.get_mut(token) {
                    access.revoked = true;
                }
            }
            Reach::Chain => {
                let user = self
                    .access
                    .get(token)
                    .map(|access| access.user)
                    .or_else(|| self.refresh.get(token).map(|refresh| refresh.user));
                let is_same = |of: u64, is_user| of == number && Some(is_user) == user;
                for access in self.access.values_mut() {
                    access.revoked |= is_same(access.grant, access.user);
                }
                for refresh in self.refresh.values_mut() {
                    if is_same(refresh.grant, refresh.user) {
                        refresh.until_ms = Some(now_ms);
                    }
                }
            }
            Reach::Account => {
                let (account, client) = (grant.account.id.clone(), grant.client_id.clone());
                self.end_all(Some(&account), Some(&client), Ended::Revoked);
            }
        }
        true
    }

    /// Lets tokens run out now. Returns how many did.
    pub fn expire(&mut self, account: Option<&str>, kind: Kind, now_ms: i64) -> usize {
        let grants = &self.grants;
        let is_meant = |number: u64| {
            let grant = grants.get(&number);
            account.is_none_or(|id| grant.is_some_and(|grant| grant.account.id == id))
        };
        let mut expired = 0;
        let mut run_out = |until: &mut Option<i64>| {
            if until.is_none_or(|at| at > now_ms) {
                *until = Some(now_ms);
                expired += 1;
            }
        };
        if kind != Kind::Refresh {
            for access in self.access.values_mut().filter(|row| is_meant(row.grant)) {
                run_out(&mut access.until_ms);
            }
        }
        if kind != Kind::Access {
            for refresh in self.refresh.values_mut().filter(|row| is_meant(row.grant)) {
                run_out(&mut refresh.until_ms);
            }
        }
        expired
    }
}
