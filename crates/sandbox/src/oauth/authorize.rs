//! The authorization request: what is asked, by whom, and what a person answers.

use serde::Deserialize;
use url::Url;

use super::ledger::{Agreed, Client, Ledger};
use super::params::{Params, scopes};
use super::pkce::Challenge;
use super::rules::Callback;

/// A request that a person can be asked about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub client: Client,
    /// As sent.
    redirect_uri: Option<String>,
    to: Url,
    state: Option<String>,
    pub scopes: Vec<String>,
    pub user_scopes: Vec<String>,
    challenge: Option<Challenge>,
    params: Params,
}

/// Why nobody is asked.
#[derive(Debug)]
pub(crate) enum Objection {
    /// Said to the person: going back would tell a stranger.
    Page {
        error: &'static str,
        description: String,
    },
    /// Said to the client.
    Back(Url),
}

/// What the person decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    #[serde(default)]
    pub decision: Decision,
    /// Default: the first account.
    #[serde(default)]
    pub account: Option<String>,
    /// Those left ticked; default: all that were asked for.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    #[serde(default)]
    pub user_scopes: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    #[default]
    Allow,
    Deny,
}

impl Asked {
    pub fn read(ledger: &Ledger, params: Params) -> Result<Self, Objection> {
        let page = |error, description: &str| Objection::Page {
            error,
            description: description.to_owned(),
        };
        let rules = ledger.rules;
        if let Some(name) = params.repeated() {
            return Err(page(
                "invalid_request",
                &format!("{name} came more than once"),
            ));
        }
        let client = params
            .get("client_id")
            .and_then(|id| ledger.clients.get(id))
            .ok_or_else(|| page("invalid_client", "The OAuth client was not found."))?;
        let redirect_uri = params.get("redirect_uri");
        let to = client.redirect(redirect_uri).ok_or_else(|| {
            page(
                "redirect_uri_mismatch",
                "The redirect URI is not one of this client.",
            )
        })?;
        let state = params.get("state");
        let fault = |error: &'static str, description: &str| {
            if !rules.redirects_faults {
                return page(error, description);
            }
            let mut to = to.clone();
            to.query_pairs_mut()
                .append_pair("error", error)
                .append_pair("error_description", description)
                .extend_pairs(state.map(|state| ("state", state)));
            Objection::Back(to)
        };
        if rules.response_type {
            match params.get("response_type") {
                Some("code") => {}
                Some(_) => return Err(fault("unsupported_response_type", "Only code is known.")),
                None => return Err(fault("invalid_request", "response_type is missing")),
            }
        }
        if rules.state && state.is_none() {
            return Err(fault("invalid_request", "state is missing"));
        }
        let asked = scopes(params.get("scope"), rules.separator);
        let user_scopes = match rules.user_scopes {
            true => scopes(params.get("user_scope"), rules.separator),
            false => Vec::new(),
        };
        if asked.is_empty() && user_scopes.is_empty() {
            return Err(fault("invalid_scope", "no scope is asked for"));
        }
        let is_known = |scope: &str| rules.scopes.iter().any(|(known, _)| *known == scope);
        if let Some(unknown) = asked
            .iter()
            .chain(&user_scopes)
            .find(|name| !is_known(name))
        {
            return Err(fault("invalid_scope", &format!("{unknown:?} is no scope")));
        }
        let challenge =
            Challenge::of(&params, rules.pkce).map_err(|wrong| fault("invalid_request", wrong))?;
        Ok(Self {
            client: client.clone(),
            redirect_uri: redirect_uri.map(str::to_owned),
            to,
            state: state.map(str::to_owned),
            scopes: asked,
            user_scopes,
            challenge,
            params,
        })
    }

    /// Where the browser goes with the person's answer, and the code that it carries.
    ///
    /// # Errors
    /// There is no such account.
    pub fn answered(
        self,
        ledger: &mut Ledger,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<(Url, Option<String>), String> {
        let account = match &answer.account {
            Some(id) => ledger.account(id),
            None => ledger.accounts.first(),
        };
        let account = account
            .cloned()
            .ok_or_else(|| format!("there is no account {:?}", answer.account))?;
        let Self {
            client,
            redirect_uri,
            mut to,
            state,
            scopes,
            user_scopes,
            challenge,
            params,
        } = self;
        let ticked = |asked: Vec<String>, left: &Option<Vec<String>>| match left {
            Some(left) => asked
                .into_iter()
                .filter(|name| left.contains(name))
                .collect(),
            None => asked,
        };
        let scopes: Vec<String> = ticked(scopes, &answer.scopes);
        let user_scopes: Vec<String> = ticked(user_scopes, &answer.user_scopes);
        let is_nothing = scopes.is_empty() && user_scopes.is_empty();
        let rules = ledger.rules;
        if answer.decision == Decision::Deny || is_nothing {
            to.query_pairs_mut()
                .append_pair("error", "access_denied")
                .extend_pairs(rules.denied)
                .extend_pairs(state.map(|state| ("state", state)));
            return Ok((to, None));
        }
        let is_first = ledger.is_first(&client.client_id, &account.id);
        let code = ledger.code(
            Agreed {
                client_id: client.client_id.clone(),
                account: account.clone(),
                scopes: scopes.clone(),
                user_scopes,
                redirect_uri,
                challenge,
                lasting: (rules.lasting)(&params, is_first),
            },
            now_ms,
        );
        to.query_pairs_mut()
            .append_pair("code", &code)
            .extend_pairs(state.as_ref().map(|state| ("state", state)));
        let callback = Callback {
            client: &client,
            account: &account,
            scopes: &scopes,
            now_ms,
        };
        (rules.callback)(&callback, &mut to);
        Ok((to, Some(code)))
    }
}
