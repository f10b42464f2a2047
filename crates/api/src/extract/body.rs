//! A JSON body, checked against its own schema, with the `Idempotency-Key` that
//! came with it.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header},
};
use hmac::{Hmac, KeyInit, Mac};
use patchbay_core::store::idempotency::Asked;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::Sha256;
use utoipa::ToSchema;

use super::{Faults, schema};
use crate::{
    access::Caller,
    problem::{FieldError, Kind, Problem},
};

/// Bytes that a body may have.
pub const LIMIT: usize = 1024 * 1024;
/// A body of that size takes no longer on any line that is worth waiting for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A body as `T`. No body, or `null`, counts as `{}`.
#[derive(Debug)]
pub struct Body<T> {
    /// The value, without what is wrong with it.
    pub value: T,
    /// What is wrong with it: to be refused together with what the handler finds.
    pub faults: Faults,
    /// Whether the request must have its effect only once.
    pub once: Once,
}

/// What the `Idempotency-Key` header asks for; `None` without one.
#[derive(Debug, Clone)]
pub struct Once(pub Option<Asked>);

impl<S, T> FromRequest<S> for Body<T>
where
    S: Send + Sync,
    T: DeserializeOwned + ToSchema,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let bytes = read(&parts.headers, body).await?;
        let mut value = parse(&parts.headers, &bytes)?;
        let errors = check::<T>(&value);
        let faults = Faults::take_from(&mut value, errors);
        let route = format!("{} {}", parts.method, parts.uri.path());
        let once = Once(asked(&parts.headers, route, &caller, &bytes)?);
        // The schema has no word for some rules (formats, say); serde has them.
        let value = match serde_path_to_error::deserialize(value) {
            Ok(value) => value,
            Err(error) => {
                let pointer: String = error
                    .path()
                    .to_string()
                    .split('.')
                    .map(|name| format!("/{name}"))
                    .collect();
                let found = FieldError::at(pointer, error.into_inner().to_string());
                return Err(faults.or_first(found));
            }
        };
        Ok(Self {
            value,
            faults,
            once,
        })
    }
}

async fn read(headers: &HeaderMap, body: axum::body::Body) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            Kind::BodyTooLarge,
            "The body has more than 1 MiB, which is the most a request may have; send less.",
        )
    };
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > LIMIT) {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, LIMIT)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Either the limit, or the client went away and reads no answer.
        Ok(Err(_)) => Err(too_large()),
        Err(_) => Err(Problem::new(
            Kind::RequestTimeout,
            "The body was not there within 30 s, so nothing was done. Send it again.",
        )),
    }
}

fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let essence = declared
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence != "application/json"
        && !(essence.starts_with("application/") && essence.ends_with("+json"))
    {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "The body is not declared as JSON. Send `Content-Type: application/json`.",
        ));
    }
    let read: Result<Value, _> = serde_json::from_slice(bytes);
    let read = read.map(|value| {
        if value.is_null() {
            Value::Object(Map::new())
        } else {
            value
        }
    });
    read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::new(
            Kind::MalformedJson,
            format!("Reading the body as JSON stopped at line {line}, column {column}. Correct it and send it again."),
        )
    })
}

fn check<T: ToSchema>(value: &Value) -> Vec<FieldError> {
    let (schema, components) = schema_of::<T>();
    schema::check(&schema, &components, value)
}

/// The schema of `T` as the OpenAPI document shows it, and those it refers to.
pub(super) fn schema_of<T: ToSchema>() -> (Value, Map<String, Value>) {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let json = |schema: &utoipa::openapi::RefOr<utoipa::openapi::Schema>| {
        serde_json::to_value(schema).expect("a schema is JSON")
    };
    (
        json(&T::schema()),
        parts
            .iter()
            .map(|(name, schema)| (name.clone(), json(schema)))
            .collect(),
    )
}

fn asked(
    headers: &HeaderMap,
    route: String,
    caller: &Caller,
    body: &[u8],
) -> Result<Option<Asked>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=255).contains(&key.len()) && key.chars().all(|c| c.is_ascii_graphic()))
        .ok_or_else(|| {
            Problem::new(
                Kind::InvalidIdempotencyKey,
                "The Idempotency-Key header must be 1 to 255 visible ASCII characters. A new UUID is a good key.",
            )
        })?;
    // Keyed with the API key itself, which no table holds: a body with a weak password in
    // it cannot be guessed from a copy of the database.
    let mut mac = Hmac::<Sha256>::new_from_slice(caller.token.expose().as_bytes())
        .expect("HMAC takes a key of any length (RFC 2104)");
    mac.update(body);
    Ok(Some(Asked {
        key: key.to_owned(),
        route,
        body_hash: mac.finalize().into_bytes().to_vec(),
    }))
}
