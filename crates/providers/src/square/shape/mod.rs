//! From Square's shapes to the unified ones. No calls; one file per stream.

pub(super) mod catalog;
pub(super) mod customers;
pub(super) mod inventory;
pub(super) mod sale_parts;
pub(super) mod sales;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::{error::ProviderError, shapes};

/// `{"amount": minor units, "currency": "GBP"}`; Square leaves out what is zero.
#[derive(Debug, Clone, Deserialize)]
struct Money {
    #[serde(default)]
    amount: i64,
    currency: String,
}

impl From<Money> for shapes::Money {
    fn from(Money { amount, currency }: Money) -> Self {
        Self { amount, currency }
    }
}

/// A text field of an object, empty if there is none.
fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn wrong(kind: &str, id: &str, error: &serde_json::Error) -> ProviderError {
    ProviderError::protocol(format!(
        "Square's {kind} {id} has not the shape its API describes: {error}."
    ))
}

fn unified<T: serde::Serialize>(shape: &T) -> Value {
    serde_json::to_value(shape).expect("unified shapes are plain values")
}

fn ms(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}
