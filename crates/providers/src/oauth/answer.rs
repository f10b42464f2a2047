//! What a token endpoint granted, read strictly: a token that is half understood would
//! be stored and refused later, far from where a person can act.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::secret::{Secret, SecretFields};
use serde_json::{Map, Value};

use super::rules::{Expiry, Oauth};

/// Longest answer that is read, in bytes. The longest known tokens have a few thousand.
pub(super) const LONGEST: u64 = 64 * 1024;

/// No token lives longer; more is an error of units (milliseconds for seconds).
const LONGEST_LIFE: TimeDelta = TimeDelta::days(3653);

/// What an exchange or a refresh brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `access_token`; `refresh_token` where one came (after a refresh without one, the
    /// stored one stays).
    pub fields: SecretFields,
    /// When the access token expires; `None`: it lives until it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the refresh token expires, where the provider tells.
    pub refresh_expires_at: Option<DateTime<Utc>>,
    /// What was granted; `None`: the answer does not say, so what was asked for
    /// (RFC 6749, section 5.1).
    pub scopes: Option<Vec<String>>,
}

/// Reads a successful answer. The error says what is wrong with it and quotes nothing.
pub(super) fn read(rules: &Oauth, answer: &Value, now: DateTime<Utc>) -> Result<Grant, String> {
    let object = granted(rules, answer).ok_or("has no access_token")?;
    let access = text(object, "access_token")?.ok_or("has no access_token")?;
    let mut fields = SecretFields([("access_token".to_owned(), access)].into());
    if let Some(refresh) = text(object, "refresh_token")? {
        fields.0.insert("refresh_token".into(), refresh);
    }
    check_type(rules, object)?;
    let (life, refresh_life) = match rules.expiry {
        Expiry::ExpiresIn | Expiry::ExpiresInText => ("expires_in", "refresh_token_expires_in"),
        Expiry::ExpiresAt => ("expires_at", "refresh_token_expires_at"),
        Expiry::Never => {
            return Ok(Grant {
                fields,
                expires_at: None,
                refresh_expires_at: None,
                scopes: scopes(rules, object)?,
            });
        }
    };
    Ok(Grant {
        fields,
        expires_at: end(rules.expiry, object, life, now)?,
        refresh_expires_at: end(rules.expiry, object, refresh_life, now)?,
        scopes: scopes(rules, object)?,
    })
}

/// The object that the tokens stand in.
fn granted<'a>(rules: &Oauth, answer: &'a Value) -> Option<&'a Map<String, Value>> {
    if rules.grant_at.is_empty() {
        return answer.as_object();
    }
    rules
        .grant_at
        .iter()
        .filter_map(|pointer| answer.pointer(pointer)?.as_object())
        .find(|object| object.contains_key("access_token"))
}

/// A token: visible ASCII and spaces (RFC 6749, appendix A.12), so that it fits a header.
fn text(object: &Map<String, Value>, name: &str) -> Result<Option<Secret>, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(format!("has an empty {name}")),
        Some(Value::String(text)) if text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) => {
            Ok(Some(Secret::new(text.as_str())))
        }
        Some(Value::String(_)) => Err(format!("has an {name} with characters no token has")),
        Some(_) => Err(format!("has an {name} that is no text")),
    }
}

fn check_type(rules: &Oauth, object: &Map<String, Value>) -> Result<(), String> {
    match object.get("token_type") {
        // Shopify leaves it out.
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(kind))
            if kind.eq_ignore_ascii_case("bearer") || rules.token_types.contains(kind) =>
        {
            Ok(())
        }
        Some(Value::String(_)) => Err("has a token of a type that is not known".into()),
        Some(_) => Err("has a token_type that is no text".into()),
    }
}

fn end(
    expiry: Expiry,
    object: &Map<String, Value>,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, String> {
    let value = match object.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let malformed = || format!("has an {name} that is not of its form");
    let end = match (expiry, value) {
        (Expiry::ExpiresAt, Value::String(text)) => DateTime::parse_from_rfc3339(text)
            .map_err(|_| malformed())?
            .to_utc(),
        (Expiry::ExpiresIn | Expiry::ExpiresInText, Value::Number(number)) => {
            after(now, number.as_i64()).ok_or_else(malformed)?
        }
        (Expiry::ExpiresInText, Value::String(text)) => {
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let seconds = if is_plain { text.parse().ok() } else { None };
            after(now, seconds).ok_or_else(malformed)?
        }
        (Expiry::ExpiresAt | Expiry::ExpiresIn | Expiry::ExpiresInText | Expiry::Never, _) => {
            return Err(malformed());
        }
    };
    let life = end - now;
    if life < TimeDelta::seconds(1) || life > LONGEST_LIFE {
        return Err(format!(
            "has an {name} that is in the past or absurdly far away"
        ));
    }
    Ok(Some(end))
}

fn after(now: DateTime<Utc>, seconds: Option<i64>) -> Option<DateTime<Utc>> {
    now.checked_add_signed(TimeDelta::try_seconds(seconds?)?)
}

fn scopes(rules: &Oauth, object: &Map<String, Value>) -> Result<Option<Vec<String>>, String> {
    match object.get("scope") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let mut scopes: Vec<String> = Vec::new();
            for scope in text.split(rules.scope_separator.char()).map(str::trim) {
                if !scope.is_empty() && !scopes.iter().any(|one| one == scope) {
                    scopes.push(scope.to_owned());
                }
            }
            Ok(Some(scopes))
        }
        Some(_) => Err("has a scope that is no text".into()),
    }
}
