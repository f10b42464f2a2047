//! What Square's streams have in common: positions, times, the choice of locations.
//! One file per stream.

pub(super) mod catalog;
pub(super) mod customers;
pub(super) mod inventory;
pub(super) mod sales;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::client::Location;
use crate::{
    error::ProviderError,
    provider::{Pull, PullMode, PulledRecord},
    session::Session,
};

/// How far behind the last run a stream that goes by time begins: clocks differ, and
/// Square shows some changes up to half a minute late.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);

/// The locations that the connection's config keeps: all, or those it names.
pub(super) fn chosen_locations(
    session: &Session,
    all: Vec<Location>,
) -> Result<Vec<Location>, ProviderError> {
    let chosen = filter(session);
    if chosen.is_empty() {
        return Ok(all);
    }
    let find = |id: &String| {
        let found = all.iter().find(|location| location.id == *id);
        found.cloned().ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|location| location.id.as_str()).collect();
            let words = format!(
                "This Square seller has no location `{id}`; there are: {}.",
                known.join(", ")
            );
            ProviderError::invalid(words, "Correct the connection's location_ids.")
                .field("/config/location_ids")
        })
    };
    chosen.iter().map(find).collect()
}

/// The locations that config names; empty means all.
fn filter(session: &Session) -> Vec<String> {
    let named = session.config.get("location_ids").and_then(Value::as_array);
    named
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The cursor to go on from; `None` pulls everything.
fn since<T: DeserializeOwned>(pull: &Pull) -> Result<Option<T>, ProviderError> {
    match pull.mode {
        PullMode::Incremental => read_back(&pull.cursor, "cursor"),
        PullMode::Full => Ok(None),
        PullMode::Range { .. } => Err(ProviderError::invalid(
            format!("Square's {} cannot be pulled by range.", pull.stream),
            "Ask for an incremental or a full sync.",
        )),
    }
}

/// Reads back a position or cursor that this provider wrote.
fn read_back<T: DeserializeOwned>(
    value: &Option<Value>,
    what: &str,
) -> Result<Option<T>, ProviderError> {
    value
        .as_ref()
        .map(T::deserialize)
        .transpose()
        .map_err(|error| {
            ProviderError::invalid(
                format!("The stored {what} of this stream cannot be read: {error}."),
                "Run a full sync of the stream: it writes a new one.",
            )
        })
}

/// Rows of Square's as records.
fn records(
    rows: Vec<Value>,
    read: fn(Value) -> Result<PulledRecord, ProviderError>,
) -> Result<Vec<PulledRecord>, ProviderError> {
    rows.into_iter().map(read).collect()
}

fn stored<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("positions are plain values")
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
