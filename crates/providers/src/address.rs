//! Addresses of a manifest, with places that config fills: `https://{shop}/admin`.
//!
//! Only fields whose schema pins their form (a pattern or a list of choices) may stand
//! in an address, and they are checked again when it is filled in: whoever writes config
//! must not choose the host that sees a credential.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::schema::{PropertyKind, Schema};

/// The place of the endpoint's base address.
const BASE: &str = "base";

/// An https address with places in braces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

/// A text between two braces, or one outside of them.
enum Part<'a> {
    Text(&'a str),
    Place(&'a str),
}

impl Address {
    /// The address for a config; `None` where a field is missing or not of its form.
    #[must_use]
    pub(crate) fn fill(&self, base: Option<&Url>, schema: &Schema, config: &Value) -> Option<Url> {
        Url::parse(&fill(&self.0, base, schema, config)?).ok()
    }

    /// Whether it leads to a host, places and all.
    pub(crate) fn is_on(&self, host: &str) -> bool {
        let rest = self.0.strip_prefix("https://").unwrap_or_default();
        rest.split(['/', '?', '#']).next() == Some(host)
    }

    /// What is wrong with it; `with_base`: `{base}` may stand at its beginning.
    pub(crate) fn problem(&self, schema: &Schema, with_base: bool) -> Option<String> {
        let text = &self.0;
        let from_base = with_base && text.starts_with("{base}/");
        if !from_base && !text.starts_with("https://") {
            return Some(format!("`{text}` is not https"));
        }
        let example = Self(text.replacen("{base}", "https://base.example", usize::from(from_base)));
        places_problem(&example.0, schema).or_else(|| {
            let filled: String = parts(&example.0)?
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => text,
                    Part::Place(_) => "example",
                })
                .collect();
            match Url::parse(&filled) {
                Ok(url) if url.query().is_none() && url.fragment().is_none() => None,
                Ok(_) | Err(_) => Some(format!("`{text}` is no address without query")),
            }
        })
    }
}

/// A text with its places filled in.
pub(crate) fn fill(
    text: &str,
    base: Option<&Url>,
    schema: &Schema,
    config: &Value,
) -> Option<String> {
    let mut filled = String::new();
    for part in parts(text)? {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Place(BASE) if filled.is_empty() => {
                filled.push_str(base?.as_str().trim_end_matches('/'));
            }
            Part::Place(field) => {
                let value = config.get(field)?.as_str()?;
                let property = schema.properties.get(field)?;
                let is_plain = !value.is_empty()
                    && value
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
                if !is_plain || property.refuse_text(value).is_some() {
                    return None;
                }
                filled.push_str(value);
            }
        }
    }
    Some(filled)
}

/// What is wrong with the places of a text.
pub(crate) fn places_problem(text: &str, schema: &Schema) -> Option<String> {
    let Some(parts) = parts(text) else {
        return Some(format!("the braces of `{text}` do not match"));
    };
    parts.into_iter().find_map(|part| {
        let Part::Place(field) = part else {
            return None;
        };
        let Some(property) = schema.properties.get(field) else {
            return Some(format!("`{field}` in `{text}` is no field of config"));
        };
        let is_pinned = property.pattern.is_some() || !property.choices.is_empty();
        if property.kind != PropertyKind::String || property.secret || !is_pinned {
            return Some(format!(
                "field `{field}` stands in `{text}` and must be a text with a pattern or choices, not secret"
            ));
        }
        if !schema.required.iter().any(|name| name == field) && property.default.is_none() {
            return Some(format!(
                "field `{field}` stands in `{text}` and must be required or have a default"
            ));
        }
        None
    })
}

fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (place, tail) = after.split_once('}')?;
        if before.contains('}') {
            return None;
        }
        parts.push(Part::Text(before));
        parts.push(Part::Place(place));
        rest = tail;
    }
    if rest.contains('}') {
        return None;
    }
    parts.push(Part::Text(rest));
    Some(parts)
}
