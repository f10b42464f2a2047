//! Customers.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{ms, text, unified, wrong};
use crate::{error::ProviderError, provider::PulledRecord, shapes};

#[derive(Deserialize)]
struct Customer {
    id: String,
    given_name: Option<String>,
    family_name: Option<String>,
    company_name: Option<String>,
    email_address: Option<String>,
    phone_number: Option<String>,
    address: Option<Address>,
    reference_id: Option<String>,
    version: Option<i64>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Address {
    country: Option<String>,
}

/// One customer as a record.
pub(in crate::square) fn record(raw: Value) -> Result<PulledRecord, ProviderError> {
    let customer =
        Customer::deserialize(&raw).map_err(|error| wrong("customer", text(&raw, "id"), &error))?;
    let data = unified(&shapes::Customer {
        given_name: customer.given_name,
        family_name: customer.family_name,
        company: customer.company_name,
        email: customer.email_address,
        phone: customer.phone_number,
        country: customer.address.and_then(|address| address.country),
        reference: customer.reference_id,
        created_at: customer.created_at,
        updated_at: customer.updated_at,
    });
    Ok(PulledRecord {
        external_id: customer.id,
        kind: "customer".into(),
        data,
        raw,
        source_version: customer.version.or_else(|| customer.updated_at.map(ms)),
        deleted: false,
    })
}
