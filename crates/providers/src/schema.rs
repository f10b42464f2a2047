//! The subset of JSON Schema that manifests use for config and for the input of
//! actions, and the check of what a person filled in against it.
//!
//! The subset: one flat object; properties of type `string`, `integer`, `boolean`
//! or `array` of strings; `title`, `description`, `default`, `enum`, `minLength`,
//! `maxLength`, `pattern`, `minimum`, `maximum`, `items`, `maxItems`, `required`; `additionalProperties`
//! is always false; `x-secret: true` marks a text that is sealed and never returned.
//! It is a type of ours rather than a library: forty lines decide it, and messages
//! must never repeat a value that may be secret.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

/// An object's fields.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Fields that must be there.
    #[serde(default)]
    pub required: Vec<String>,
    /// Fields by name.
    #[serde(default)]
    pub properties: BTreeMap<String, Property>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Property {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: PropertyKind,
    /// Its name in a form.
    pub title: String,
    /// What to fill in and where to find it.
    pub description: String,
    /// Sealed, never returned.
    #[serde(
        rename = "x-secret",
        default,
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub secret: bool,
    /// What is taken when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only texts allowed.
    #[serde(rename = "enum", default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Characters of a text at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// Characters of a text at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// What the whole text must be like: a regular expression between `^` and `$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// Largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
    /// Longest list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_items: Option<usize>,
    /// What each entry of a list is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Items>,
}

/// The texts of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Items {
    /// Always a text.
    #[serde(rename = "type")]
    pub kind: ItemKind,
    /// Characters at least.
    pub min_length: usize,
    /// Characters at most.
    pub max_length: usize,
}

/// What an entry of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    /// A text.
    String,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PropertyKind {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// A list of texts.
    Array,
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("type", "object")?;
        map.serialize_entry("additionalProperties", &false)?;
        map.serialize_entry("required", &self.required)?;
        map.serialize_entry("properties", &self.properties)?;
        map.end()
    }
}

/// One thing that is wrong with what a person filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into an object with `config` and `secret`: `/config/environment`.
    pub pointer: String,
    /// What is allowed, in words. Never repeats a value.
    pub message: String,
}

impl Schema {
    /// What is wrong with the declaration itself.
    pub(crate) fn problem(&self) -> Option<String> {
        if let Some(name) = self
            .required
            .iter()
            .find(|name| !self.properties.contains_key(*name))
        {
            return Some(format!("required field `{name}` is not declared"));
        }
        self.properties.iter().find_map(|(name, property)| {
            if property.secret && property.kind != PropertyKind::String {
                return Some(format!("secret field `{name}` is not a string"));
            }
            if property.secret && property.default.is_some() {
                return Some(format!("secret field `{name}` has a default"));
            }
            if (property.kind == PropertyKind::Array) != property.items.is_some() {
                return Some(format!(
                    "field `{name}`: a list and nothing else says what its items are"
                ));
            }
            if let Some(pattern) = &property.pattern
                && (property.kind != PropertyKind::String || whole(pattern).is_none())
            {
                return Some(format!(
                    "field `{name}`: only a text has a pattern, and it goes from `^` to `$`"
                ));
            }
            let default = property.default.as_ref()?;
            property
                .refuse(default)
                .map(|why| format!("default of field `{name}`: {why}"))
        })
    }

    /// Names of the secret fields.
    pub fn secret_fields(&self) -> impl Iterator<Item = &str> {
        self.properties
            .iter()
            .filter(|(_, property)| property.secret)
            .map(|(name, _)| name.as_str())
    }

    /// Puts the defaults where a field was left out.
    #[must_use]
    pub(crate) fn with_defaults(&self, mut config: Map<String, Value>) -> Map<String, Value> {
        for (name, property) in &self.properties {
            if let Some(default) = &property.default
                && !config.contains_key(name)
            {
                config.insert(name.clone(), default.clone());
            }
        }
        config
    }
}

impl Property {
    /// Why a value is not allowed; `None` if it is.
    pub(crate) fn refuse(&self, value: &Value) -> Option<String> {
        match (self.kind, value) {
            (PropertyKind::String, Value::String(text)) => self.refuse_text(text),
            (PropertyKind::Boolean, Value::Bool(_)) => None,
            (PropertyKind::Integer, Value::Number(number)) => match number.as_i64() {
                Some(number) => self.refuse_number(number),
                None => Some("must be a whole number".into()),
            },
            (PropertyKind::Array, Value::Array(_)) => None,
            (PropertyKind::String, _) => Some("must be a text".into()),
            (PropertyKind::Integer, _) => Some("must be a whole number".into()),
            (PropertyKind::Boolean, _) => Some("must be true or false".into()),
            (PropertyKind::Array, _) => Some("must be a list of texts".into()),
        }
    }

    pub(crate) fn refuse_text(&self, text: &str) -> Option<String> {
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice == text) {
            return Some(format!("must be one of: {}", self.choices.join(", ")));
        }
        let length = refuse_length(
            text,
            self.min_length.unwrap_or(0),
            self.max_length.unwrap_or(usize::MAX),
        );
        length.or_else(|| {
            let pattern = self.pattern.as_ref()?;
            let fits = whole(pattern).is_some_and(|pattern| pattern.is_match(text));
            (!fits).then(|| format!("must be of the form {pattern}"))
        })
    }

    fn refuse_number(&self, number: i64) -> Option<String> {
        match (self.minimum, self.maximum) {
            (Some(least), _) if number < least => Some(format!("must be at least {least}")),
            (_, Some(most)) if number > most => Some(format!("must be at most {most}")),
            _ => None,
        }
    }
}

impl Items {
    /// Why an entry is not allowed; `None` if it is.
    pub(crate) fn refuse(&self, value: &Value) -> Option<String> {
        match (self.kind, value) {
            (ItemKind::String, Value::String(text)) => {
                refuse_length(text, self.min_length, self.max_length)
            }
            (ItemKind::String, _) => Some("must be a text".into()),
        }
    }
}

/// A pattern that judges the whole of a text.
fn whole(pattern: &str) -> Option<Regex> {
    let is_anchored = pattern.starts_with('^') && pattern.ends_with('$');
    // `$` alone would also match before a last line break in other dialects; here it does not.
    is_anchored.then(|| Regex::new(pattern).ok()).flatten()
}

fn refuse_length(text: &str, least: usize, most: usize) -> Option<String> {
    let length = text.chars().count();
    if length < least {
        Some(if least == 1 {
            "must not be empty".into()
        } else {
            format!("must have at least {least} characters")
        })
    } else if length > most {
        Some(format!("must have at most {most} characters"))
    } else {
        None
    }
}
