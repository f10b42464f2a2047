//! Calls to Square: version, token, pace. Every call it makes is a read, so each may
//! be repeated; it must not learn to write without changing that. What answers mean is
//! in `answer`.

mod answer;

use std::time::Duration;

use patchbay_core::outbound::{
    Credential, OutboundError, OutboundRequest, OutboundResponse, StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};

use crate::{error::ProviderError, session::Session};
pub(super) use answer::Answer;
use answer::understand;

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

impl<'s> Client<'s> {
    pub fn new(session: &'s Session) -> Result<Self, ProviderError> {
        Ok(Self {
            session,
            credential: session.bearer("access_token")?,
        })
    }

    /// All locations, closed ones included: they keep their sales.
    pub async fn locations(&self) -> Result<Vec<Location>, ProviderError> {
        let answer = self.get("/v2/locations", &[]).await?;
        answer
            .rows
            .into_iter()
            .map(|row| {
                serde_json::from_value(row).map_err(|error| {
                    ProviderError::protocol(format!(
                        "A location of Square's has not the shape its API describes: {error}."
                    ))
                })
            })
            .collect()
    }

    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, ProviderError> {
        let mut url = self.session.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.read(OutboundRequest::get(url), path).await
    }

    pub async fn post<B: Serialize>(&self, path: &str, body: &B) -> Result<Answer, ProviderError> {
        let request = OutboundRequest::post_json(self.session.url(path), body)?;
        self.read(request, path).await
    }

    async fn read(&self, request: OutboundRequest, path: &str) -> Result<Answer, ProviderError> {
        let request = request
            .header(VERSION_HEADER, HeaderValue::from_static(VERSION))
            .credential(self.credential.clone());
        let mut faults = 0;
        let mut refusals = 0;
        loop {
            let outcome = self.session.send(request.clone()).await;
            match self.pause(&outcome, &mut faults, &mut refusals) {
                Some(pause) => {
                    tracing::debug!(path, ?pause, "Square is asked again");
                    tokio::time::sleep(pause).await;
                }
                None => return understand(&outcome?, path, self.session.now()),
            }
        }
    }

    /// How long to wait before the same call is made again; `None`: it is not.
    fn pause(
        &self,
        outcome: &Result<OutboundResponse, OutboundError>,
        faults: &mut u32,
        refusals: &mut u32,
    ) -> Option<Duration> {
        let backoff = self.session.backoff;
        match outcome {
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                *refusals += 1;
                backoff.wait(*refusals - 1, answer.retry_after(self.session.now()))
            }
            Ok(answer) if !answer.status.is_server_error() => None,
            // It has cost its whole deadline already: the job tries again later.
            Err(OutboundError::Timeout { .. }) => None,
            Err(error) if !error.is_transient() => None,
            Ok(_) | Err(_) => {
                *faults += 1;
                if *faults > FAULT_REPEATS {
                    None
                } else {
                    backoff.wait(*faults - 1, None)
                }
            }
        }
    }
}
