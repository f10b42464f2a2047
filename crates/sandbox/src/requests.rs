//! The request log: what a client really asked, for tests and benchmarks.
//!
//! Holds counters for ever and the last thousand requests. Never holds a header, and of
//! queries and bodies no code, secret or token, so none can be read from it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request as HttpRequest, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;

use crate::clock::{Clock, rfc3339};
use crate::faults::Struck;

const KEPT: usize = 1000;
/// No request of the APIs that we stand in for is larger than this.
const LARGEST_BODY: usize = 4 << 20;
/// Larger bodies (a thousand ids) are counted but not kept.
const LARGEST_KEPT_BODY: usize = 16 << 10;

/// Whose data a request was about; left on the response for the log.
#[derive(Debug, Clone)]
pub(crate) struct AccountId(pub Arc<str>);

/// One request that was answered.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    pub number: u64,
    pub at: String,
    pub method: String,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The JSON body, or a form as an object, unless it is large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    pub status: u16,
    /// Names of the faults that struck it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<&'static str>,
    /// The merchant, or at other providers the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant_id: Option<String>,
}

/// Counters of one endpoint.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Totals {
    pub requests: u64,
    pub by_status: BTreeMap<u16, u64>,
    /// Time from the request's arrival to the answer's head, faults' latency included.
    pub busy_us: u64,
}

/// Clones share one log.
#[derive(Debug, Clone)]
pub struct RequestLog {
    clock: Clock,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    number: u64,
    totals: BTreeMap<String, Totals>,
    recent: VecDeque<Request>,
}

impl RequestLog {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            inner: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counters by endpoint, such as `GET /square/v2/catalog/object/{id}`.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<String, Totals> {
        self.lock().totals.clone()
    }

    /// How many requests this endpoint has answered.
    #[must_use]
    pub fn count(&self, endpoint: &str) -> u64 {
        self.lock()
            .totals
            .get(endpoint)
            .map_or(0, |totals| totals.requests)
    }

    /// The latest requests, oldest first.
    #[must_use]
    pub fn recent(&self, limit: usize) -> Vec<Request> {
        let inner = self.lock();
        let skip = inner.recent.len().saturating_sub(limit);
        inner.recent.iter().skip(skip).cloned().collect()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.lock() = Inner::default();
    }

    fn add(&self, endpoint: String, mut request: Request, busy_us: u64) {
        let mut inner = self.lock();
        inner.number += 1;
        request.number = inner.number;
        let totals = inner.totals.entry(endpoint).or_default();
        totals.requests += 1;
        totals.busy_us += busy_us;
        *totals.by_status.entry(request.status).or_default() += 1;
        if inner.recent.len() == KEPT {
            inner.recent.pop_front();
        }
        inner.recent.push_back(request);
    }
}

/// Parameters of OAuth that the log must not hold.
const SECRETS: [&str; 6] = [
    "access_token",
    "client_secret",
    "code",
    "code_verifier",
    "refresh_token",
    "token",
];

fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

/// A JSON body, or a form as an object of texts; secrets are masked.
fn readable(headers: &HeaderMap, bytes: &[u8]) -> Option<Value> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let mut body: Value = match content_type.starts_with("application/x-www-form-urlencoded") {
        true => form_urlencoded::parse(bytes)
            .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
            .collect(),
        false => serde_json::from_slice(bytes).ok()?,
    };
    for (name, value) in body.as_object_mut().into_iter().flatten() {
        if is_secret(name) {
            *value = "***".into();
        }
    }
    Some(body)
}

/// As it came, unless a secret stands in it.
fn masked(query: &str) -> String {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    if !pairs().any(|(name, _)| is_secret(&name)) {
        return query.to_owned();
    }
    let hidden = pairs().map(|(name, value)| match is_secret(&name) {
        true => (name, "***".into()),
        false => (name, value),
    });
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(hidden)
        .finish()
}

/// The outermost layer of the providers' routes.
pub(crate) async fn observe(
    State(log): State<RequestLog>,
    request: HttpRequest,
    next: Next,
) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let method = parts.method.to_string();
    let path = parts.uri.path().to_owned();
    let endpoint = match parts.extensions.get::<MatchedPath>() {
        Some(matched) if !matched.as_str().contains("{*") => {
            format!("{method} {}", matched.as_str())
        }
        _ => "unknown".to_owned(),
    };
    let query = parts.uri.query().map(masked);
    let Ok(bytes) = to_bytes(body, LARGEST_BODY).await else {
        return crate::square::too_large();
    };
    let kept = (!bytes.is_empty() && bytes.len() <= LARGEST_KEPT_BODY)
        .then(|| readable(&parts.headers, &bytes))
        .flatten();
    let response = next
        .run(HttpRequest::from_parts(parts, Body::from(bytes)))
        .await;
    let entry = Request {
        number: 0,
        at: rfc3339(log.clock.now_ms()),
        method,
        path,
        query,
        body: kept,
        status: response.status().as_u16(),
        faults: response
            .extensions()
            .get::<Struck>()
            .map(|s| s.0.clone())
            .unwrap_or_default(),
        merchant_id: response
            .extensions()
            .get::<AccountId>()
            .map(|id| id.0.to_string()),
    };
    let busy = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    log.add(endpoint, entry, busy);
    response
}
