//! Ways into an account, and the scopes of a consent: what to ask for, and what a grant
//! falls short of.

use std::collections::BTreeMap;

use super::{AuthKind, Manifest};

impl Manifest {
    /// Whether a person can hand over a credential made at the provider.
    #[must_use]
    pub fn takes_credential(&self) -> bool {
        match self.auth.kind {
            AuthKind::AccessToken | AuthKind::Fields => true,
            AuthKind::Oauth => false,
        }
    }

    /// Whether a person can consent at the provider.
    #[must_use]
    pub fn takes_consent(&self) -> bool {
        self.auth.oauth.is_some()
    }

    /// The scopes that capabilities need, in the manifest's order; of all of them for `None`.
    #[must_use]
    pub fn scopes_for(&self, capabilities: Option<&[String]>) -> Vec<String> {
        let Some(wanted) = capabilities else {
            return self.auth.scopes.clone();
        };
        let is_wanted = |scope: &String| {
            let mut users = self.scope_users(scope).peekable();
            // What no capability claims is needed to open the account at all.
            users.peek().is_none() || users.any(|capability| wanted.contains(capability))
        };
        let scopes = self.auth.scopes.iter();
        scopes.filter(|scope| is_wanted(scope)).cloned().collect()
    }

    /// Capabilities that a grant of these scopes does not carry, each with what is missing.
    #[must_use]
    pub fn shortfall(&self, granted: &[String]) -> BTreeMap<String, Vec<String>> {
        let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for scope in self.auth.scopes.iter().filter(|one| !granted.contains(one)) {
            for capability in self.scope_users(scope) {
                let scopes = missing.entry(capability.clone()).or_default();
                if !scopes.contains(scope) {
                    scopes.push(scope.clone());
                }
            }
        }
        missing
    }

    /// Capabilities of the streams and actions that need a scope.
    fn scope_users<'m>(&'m self, scope: &String) -> impl Iterator<Item = &'m String> {
        let streams = self.streams.iter().map(|it| (&it.scopes, &it.capability));
        let actions = self.actions.iter().map(|it| (&it.scopes, &it.capability));
        let users: Vec<&String> = streams
            .chain(actions)
            .filter(|(scopes, _)| scopes.contains(scope))
            .map(|(_, capability)| capability)
            .collect();
        users.into_iter()
    }
}
