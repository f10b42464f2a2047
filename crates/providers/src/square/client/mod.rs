//! Calls to Square: version, token, pace. Every call it makes is a read, so each may
//! be repeated; it must not learn to write without changing that. What answers mean is
//! in `answer`.

mod answer;

use patchbay_core::outbound::{
    Credential, OutboundRequest,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};

use crate::{error::ProviderError, reading::only_429, session::Session};
pub(super) use answer::Answer;
use answer::understand;

/// The newest version whose OpenAPI description is public, so the newest that can be
/// checked field by field. 2026-09-16 only changes inventory adjustments, not read here.
const VERSION: &str = "2025-08-20";

const VERSION_HEADER: HeaderName = HeaderName::from_static("square-version");

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
    /// Its name in the IANA database.
    pub timezone: Option<String>,
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
        let answer = self.session.read(request, only_429).await?;
        understand(&answer, path, self.session.now())
    }
}
