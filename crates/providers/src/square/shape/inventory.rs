//! Counts of stock. Square gives them no id: variation, location and state are one.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use super::{ms, text, unified, wrong};
use crate::{error::ProviderError, provider::PulledRecord, shapes::StockCount};

#[derive(Deserialize)]
struct Count {
    catalog_object_id: String,
    location_id: String,
    state: String,
    #[serde(default)]
    quantity: Decimal,
    calculated_at: DateTime<Utc>,
}

/// One count as a record.
pub(in crate::square) fn record(raw: Value) -> Result<PulledRecord, ProviderError> {
    let count = Count::deserialize(&raw)
        .map_err(|error| wrong("inventory count", text(&raw, "catalog_object_id"), &error))?;
    let Count {
        catalog_object_id: variation_id,
        location_id,
        state,
        quantity,
        calculated_at,
    } = count;
    let external_id = format!("{variation_id}:{location_id}:{state}");
    let state = state.to_ascii_lowercase();
    let data = unified(&StockCount {
        variation_id,
        location_id,
        state,
        quantity,
        counted_at: calculated_at,
    });
    Ok(PulledRecord {
        external_id,
        kind: "count".into(),
        data,
        raw,
        source_version: Some(ms(calculated_at)),
        deleted: false,
    })
}
