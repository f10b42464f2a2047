//! What is wrong with a manifest: every contradiction that can be seen without asking
//! the provider. Each is told in words to whoever writes the manifest.

use std::collections::BTreeSet;

use super::{AuthKind, Endpoint, Manifest, Pkce, origin};
use crate::{address::places_problem, oauth::is_own_parameter, schema::Schema};

impl Manifest {
    pub(super) fn problem(&self) -> Option<String> {
        if !is_key(&self.key) {
            return Some(format!(
                "`{}` is no key: lower case letters, digits and `_` only",
                self.key
            ));
        }
        match (&self.target, self.endpoints.is_empty()) {
            (None, true) => return Some("no endpoint".into()),
            (Some(_), false) => return Some("both endpoints and a target".into()),
            (None, false) | (Some(_), true) => {}
        }
        self.config.problem().or_else(|| {
            self.endpoints
                .iter()
                .find_map(|endpoint| endpoint.problem(&self.config))
                .or_else(|| self.target.as_ref()?.problem(&self.config))
                .or_else(|| self.quota.as_ref()?.problem(&self.config))
                .or_else(|| self.auth_problem())
                .or_else(|| self.endpoint_field_problem())
                .or_else(|| repeated("capability", self.capabilities.iter().map(|it| &it.key)))
                .or_else(|| repeated("stream", self.streams.iter().map(|it| &it.key)))
                .or_else(|| repeated("action", self.actions.iter().map(|it| &it.key)))
                .or_else(|| self.unknown_capability())
                .or_else(|| self.stream_problem())
                .or_else(|| self.action_problem())
        })
    }

    fn auth_problem(&self) -> Option<String> {
        let is_open = self.takes_credential() == self.config.secret_fields().next().is_some();
        match &self.auth.oauth {
            _ if !is_open => {
                Some("secret fields of config and the way in contradict each other".into())
            }
            None if self.auth.kind == AuthKind::Oauth => Some("no section auth.oauth".into()),
            None if self.auth.pkce != Pkce::Off => Some("a proof key without a consent".into()),
            None => None,
            Some(oauth) => oauth
                .problem(&self.config)
                .map(|problem| format!("auth.oauth: {problem}")),
        }
    }

    fn endpoint_field_problem(&self) -> Option<String> {
        let field = self.endpoint_field.as_ref()?;
        let Some(property) = self.config.properties.get(field) else {
            return Some(format!("endpoint_field `{field}` is no field of config"));
        };
        let names: Vec<&String> = self
            .endpoints
            .iter()
            .map(|endpoint| &endpoint.name)
            .collect();
        let unknown = property
            .choices
            .iter()
            .find(|choice| !names.contains(choice));
        if property.choices.is_empty() {
            return Some(format!(
                "field `{field}` names the endpoint and must list its choices"
            ));
        }
        unknown.map(|choice| format!("`{choice}` of field `{field}` is no endpoint"))
    }

    fn unknown_capability(&self) -> Option<String> {
        let known: BTreeSet<&str> = self.capabilities.iter().map(|it| it.key.as_str()).collect();
        let used = self
            .streams
            .iter()
            .map(|it| &it.capability)
            .chain(self.actions.iter().map(|it| &it.capability));
        used.into_iter()
            .find(|key| !known.contains(key.as_str()))
            .map(|key| format!("capability `{key}` is not declared"))
    }

    fn stream_problem(&self) -> Option<String> {
        self.streams.iter().find_map(|stream| {
            if stream.modes.is_empty() {
                return Some(format!("stream `{}` has no mode", stream.key));
            }
            self.scope_not_asked("stream", &stream.key, &stream.scopes)
        })
    }

    fn action_problem(&self) -> Option<String> {
        self.actions.iter().find_map(|action| {
            let secret = action.input.secret_fields().next();
            let secret = secret.map(|field| {
                format!(
                    "field `{field}` of action `{}` is secret: inputs are kept in clear",
                    action.key
                )
            });
            let input = || {
                let problem = action.input.problem()?;
                Some(format!("input of action `{}`: {problem}", action.key))
            };
            secret
                .or_else(input)
                .or_else(|| self.scope_not_asked("action", &action.key, &action.scopes))
        })
    }

    fn scope_not_asked(&self, what: &str, key: &str, scopes: &[String]) -> Option<String> {
        let foreign = scopes
            .iter()
            .find(|scope| !self.auth.scopes.contains(scope))?;
        Some(format!(
            "scope `{foreign}` of {what} `{key}` is not asked for"
        ))
    }
}

impl Endpoint {
    fn problem(&self, schema: &Schema) -> Option<String> {
        let name = &self.name;
        if let Some(problem) = self.base_url.problem(schema, false) {
            return Some(format!("base_url of endpoint `{name}`: {problem}"));
        }
        if let Some(problem) = self
            .hosts
            .iter()
            .find_map(|host| places_problem(host, schema))
        {
            return Some(format!("hosts of endpoint `{name}`: {problem}"));
        }
        let is_there = |host: &String| origin(&host.replace(['{', '}'], "")).is_some();
        if !self.hosts.iter().all(is_there) {
            return Some(format!("a host of endpoint `{name}` is malformed"));
        }
        if !self.hosts.iter().any(|host| self.base_url.is_on(host)) {
            return Some(format!(
                "the base_url of endpoint `{name}` is not among its hosts"
            ));
        }
        let own = self
            .consent_parameters
            .keys()
            .find(|it| is_own_parameter(it))?;
        Some(format!(
            "consent_parameters of endpoint `{name}`: `{own}` belongs to the flow"
        ))
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn repeated<'m>(what: &str, mut keys: impl Iterator<Item = &'m String>) -> Option<String> {
    let mut seen = BTreeSet::new();
    keys.find_map(|key| {
        if !is_key(key) {
            Some(format!(
                "`{key}` is no key of a {what}: lower case letters, digits and `_` only"
            ))
        } else if !seen.insert(key) {
            Some(format!("{what} `{key}` is declared twice"))
        } else {
            None
        }
    })
}
