//! Calls to Square: version, token, error envelope, pace. Every call it makes is a
//! read, so each may be repeated; it must not learn to write without changing that.

use std::time::Duration;

use patchbay_core::{
    failure::FailureKind,
    outbound::{
        Credential, OutboundError, OutboundRequest, OutboundResponse, StatusCode,
        header::{HeaderName, HeaderValue},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{error::ProviderError, session::Session};

/// The newest version whose OpenAPI description is public, so the newest that can be
/// checked field by field. 2026-09-16 only changes inventory adjustments, not read here.
const VERSION: &str = "2025-08-20";

const VERSION_HEADER: HeaderName = HeaderName::from_static("square-version");

/// Repeats of a read after a fault on Square's side, before the job protocol waits longer.
const FAULT_REPEATS: u32 = 2;

/// A session at Square.
#[derive(Debug)]
pub(super) struct Client<'s> {
    pub session: &'s Session,
    credential: Credential,
}

/// A seller's location.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Location {
    pub id: String,
    #[serde(default)]
    pub name: String,
    pub business_name: Option<String>,
    pub merchant_id: String,
}

#[derive(Deserialize)]
struct Locations {
    #[serde(default)]
    locations: Vec<Location>,
}

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<SquareError>,
}

#[derive(Deserialize)]
struct SquareError {
    code: String,
    detail: Option<String>,
    field: Option<String>,
}

impl<'s> Client<'s> {
    pub fn new(session: &'s Session) -> Result<Self, ProviderError> {
        Ok(Self {
            session,
            credential: session.bearer("access_token")?,
        })
    }

    /// All locations, closed ones included: they keep their sales.
    pub async fn locations(&self) -> Result<Vec<Location>, ProviderError> {
        let Locations { locations } = self.get("/v2/locations", &[]).await?;
        Ok(locations)
    }

    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ProviderError> {
        let mut url = self.session.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.read(OutboundRequest::get(url), path).await
    }

    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ProviderError> {
        self.read(
            OutboundRequest::post_json(self.session.url(path), body)?,
            path,
        )
        .await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        request: OutboundRequest,
        path: &str,
    ) -> Result<T, ProviderError> {
        let request = request
            .header(VERSION_HEADER, HeaderValue::from_static(VERSION))
            .credential(self.credential.clone());
        let mut faults = 0;
        let mut refusals = 0;
        loop {
            let outcome = self.session.send(request.clone()).await;
            let pause = match &outcome {
                Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                    let pause = self
                        .session
                        .backoff
                        .wait(refusals, answer.retry_after(self.session.now()));
                    refusals += 1;
                    pause
                }
                Ok(answer) if answer.status.is_server_error() => self.after_fault(&mut faults),
                Err(error)
                    if error.is_transient() && !matches!(error, OutboundError::Timeout { .. }) =>
                {
                    self.after_fault(&mut faults)
                }
                Ok(_) | Err(_) => None,
            };
            match pause {
                Some(pause) => {
                    tracing::debug!(path, ?pause, "Square is asked again");
                    tokio::time::sleep(pause).await;
                }
                None => return self.understand(outcome?, path),
            }
        }
    }

    fn after_fault(&self, faults: &mut u32) -> Option<Duration> {
        let pause = (*faults < FAULT_REPEATS)
            .then(|| self.session.backoff.wait(*faults, None))
            .flatten();
        *faults += 1;
        pause
    }

    fn understand<T: DeserializeOwned>(
        &self,
        answer: OutboundResponse,
        path: &str,
    ) -> Result<T, ProviderError> {
        if answer.status.is_success() {
            return serde_json::from_slice(&answer.body).map_err(|error| {
                // serde names what it expected and where, and in data errors it may quote the value.
                let what = if error.is_data() {
                    "has not the shape its API describes"
                } else {
                    "is no complete JSON"
                };
                let (line, column) = (error.line(), error.column());
                ProviderError::protocol(format!(
                    "Square's answer to {path} {what} (line {line}, column {column})."
                ))
            });
        }
        Err(self.refusal(&answer, path))
    }

    fn refusal(&self, answer: &OutboundResponse, path: &str) -> ProviderError {
        let status = answer.status.as_u16();
        let first = serde_json::from_slice::<Envelope>(&answer.body)
            .ok()
            .and_then(|it| it.errors.into_iter().next());
        let code = first.as_ref().map(|error| error.code.clone());
        let mut words = match &first {
            Some(SquareError { code, detail, .. }) => {
                format!(
                    "Square answered {path} with {status} {code}: {}",
                    detail.as_deref().unwrap_or("no detail")
                )
            }
            None => format!("Square answered {path} with {status} and no error of its own."),
        };
        if let Some(field) = first.and_then(|error| error.field) {
            words.push_str(&format!(" (field {field})"));
        }
        let (kind, action) = classify(answer.status, code.as_deref());
        let mut error = ProviderError::new(kind, words, action);
        error.code = code;
        error.retry_after = answer.retry_after(self.session.now());
        error
    }
}

fn classify(status: StatusCode, code: Option<&str>) -> (FailureKind, &'static str) {
    match (status.as_u16(), code) {
        (_, Some("INSUFFICIENT_SCOPES")) | (403, _) => (
            FailureKind::Scope,
            "Make a token that has this permission in Square's Developer Console and set it on the connection.",
        ),
        (401, _) => (
            FailureKind::Auth,
            "The token is wrong, expired or revoked, or made for the other environment: set a new one on the connection.",
        ),
        (429, _) => (
            FailureKind::RateLimited,
            "Nothing: it goes on by itself when Square allows more calls.",
        ),
        (404, _) => (
            FailureKind::NotFound,
            "It may have been deleted at Square; run a full sync.",
        ),
        (408 | 504, _) => (
            FailureKind::Timeout,
            "It is tried again by itself; see issquareup.com if it lasts.",
        ),
        (500..=599, _) => (
            FailureKind::ProviderDown,
            "It is tried again by itself; see issquareup.com if it lasts.",
        ),
        // Redirects are not followed; an API that sends one is not Square's.
        (300..=399, _) => (
            FailureKind::Protocol,
            "Check the base URL that is set for Square.",
        ),
        _ => (
            FailureKind::Invalid,
            "Square refuses this request as wrong: check the connection's config, else report it with the job's id.",
        ),
    }
}
