//! Settings with a `*` in their key: a value for each name that stands in its place.

use std::collections::BTreeMap;

use url::Url;

use super::{
    Problem, Row, Setting,
    source::{Given, Source},
    value::Value,
};
use crate::secret::Secret;

/// Values by name. A wrong one is refused by its own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T>(pub BTreeMap<String, T>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Value> Value for Named<T> {
    const ALLOWED: &'static str = T::ALLOWED;
    const SECRET: bool = T::SECRET;

    fn parse(_: &str) -> Result<Self, String> {
        Ok(Self::default())
    }

    fn shown(&self) -> String {
        "(none)".into()
    }

    fn read(
        setting: &Setting,
        given: &[Given],
        rows: &mut Vec<Row>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let mut strongest: BTreeMap<&str, &Given> = BTreeMap::new();
        for one in given.iter().filter(|one| setting.matches(&one.key)) {
            strongest.insert(&one.key, one);
        }
        let mut values = BTreeMap::new();
        for (key, one) in strongest {
            let Some(name) = key.split('.').nth(1) else {
                continue;
            };
            match T::parse(&one.text) {
                Ok(value) => {
                    rows.push(Row {
                        key: key.into(),
                        value: value.shown(),
                        source: one.source.clone(),
                    });
                    values.insert(name.to_owned(), value);
                }
                Err(why) => problems.push(Problem::wrong(setting, one, &why)),
            }
        }
        if values.is_empty() {
            rows.push(Row {
                key: setting.key.into(),
                value: "(none)".into(),
                source: Source::Default,
            });
        }
        Some(Self(values))
    }
}

/// Base addresses by provider key.
pub type BaseUrls = Named<Url>;

impl Value for Url {
    const ALLOWED: &'static str = "an http or https address";

    fn parse(text: &str) -> Result<Self, String> {
        match Self::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
            Ok(_) | Err(_) => Err("is no web address".into()),
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// Longest id or secret of an OAuth client (Square: 191 and 1024).
const LONGEST: usize = 2048;

/// The id that a provider gave an OAuth client. No secret: it stands in addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientId(pub String);

impl Value for ClientId {
    const ALLOWED: &'static str = "the client id of your app at the provider: visible ASCII";

    fn parse(text: &str) -> Result<Self, String> {
        visible(text).map(|()| Self(text.to_owned()))
    }

    fn shown(&self) -> String {
        self.0.clone()
    }
}

/// The secret that a provider gave with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSecret(pub Secret);

impl Value for ClientSecret {
    const ALLOWED: &'static str = "the client secret of your app at the provider: visible ASCII";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        visible(text).map(|()| Self(Secret::new(text)))
    }

    fn shown(&self) -> String {
        self.0.mask()
    }
}

fn visible(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("is empty".into())
    } else if text.len() > LONGEST {
        Err(format!("has more than {LONGEST} characters"))
    } else if text.chars().all(|c| c.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("has a character that is not visible ASCII".into())
    }
}
