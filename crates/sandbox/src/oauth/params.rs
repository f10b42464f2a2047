//! Parameters of a request: of a query, a form, or a JSON body, read alike.

use serde_json::Value;
use url::form_urlencoded;

/// In the order they came in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Of a query or a form.
    pub fn of_form(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    pub fn of_query(query: Option<&str>) -> Self {
        Self::of_form(query.unwrap_or_default().as_bytes())
    }

    /// Of a flat JSON object; a list of texts becomes their names with spaces between.
    /// `None`: it is none.
    pub fn of_json(bytes: &[u8]) -> Option<Self> {
        let Value::Object(fields) = serde_json::from_slice(bytes).ok()? else {
            return None;
        };
        let mut params = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Bool(flag) => flag.to_string(),
                Value::Number(number) => number.to_string(),
                Value::Array(list) => {
                    let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                    texts?.join(" ")
                }
                Value::Object(_) => return None,
            };
            params.push((name, text));
        }
        Some(Self(params))
    }

    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// A parameter without a value counts as not sent (RFC 6749 section 3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        (!value.is_empty()).then_some(value)
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// The first name that came twice, which RFC 6749 section 3.1 forbids.
    pub fn repeated(&self) -> Option<&str> {
        let twice = |name: &str| {
            self.0
                .iter()
                .filter(|(key, _)| key == name)
                .nth(1)
                .is_some()
        };
        self.0
            .iter()
            .map(|(name, _)| name.as_str())
            .find(|name| twice(name))
    }
}

/// The named scopes, each once, in their order.
pub(crate) fn scopes(text: Option<&str>, separator: char) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.unwrap_or_default().split(separator) {
        if !scope.is_empty() && !scopes.iter().any(|held| held == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}
