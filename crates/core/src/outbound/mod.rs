//! The one HTTP client for everything the product sends abroad: deadlines, body
//! cap, address policy, credentials only where they belong.
//!
//! It follows no redirect, reads no proxy from the environment, and knows no
//! provider. Retries are the caller's: it sends once.

use std::{
    error::Error,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::header::{HeaderName, HeaderValue};
use url::Host;

use crate::breaker::Breakers;

mod error;
mod guarded;
mod policy;
mod request;
mod resolver;
mod tcp;
#[cfg(test)]
mod tests;

pub use error::{OutboundError, Stage};
pub use guarded::HostSaid;
pub use policy::{AddressPolicy, Allowed, InvalidAllowed, is_public};
pub use request::{Credential, Limits, Origin, OutboundRequest, OutboundResponse, Subject};
pub use reqwest::{Method, StatusCode, header};
pub use tcp::{InvalidAnchors, TcpConnection, trust_anchors};

use resolver::{CheckedResolver, RefusedAddress};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What an operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundConfig {
    /// Which addresses may be reached.
    pub policy: AddressPolicy,
    /// Deadline for resolving, connecting and TLS together.
    pub connect: Duration,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            policy: AddressPolicy::default(),
            connect: Duration::from_secs(5),
        }
    }
}

/// The client. Connections are pooled; keep one for the process.
#[derive(Debug)]
pub struct Outbound {
    client: reqwest::Client,
    policy: Arc<AddressPolicy>,
    connect: Duration,
    breakers: Option<Arc<Breakers>>,
}

impl Outbound {
    /// Makes the client. Installs ring as the process's TLS provider if none is.
    ///
    /// # Errors
    /// The system has no trust anchors.
    pub fn new(config: OutboundConfig) -> Result<Self, OutboundError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Lost against another thread that installs the same: one is there either way.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let policy = Arc::new(config.policy);
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one client the rule points to"
        )]
        let client = reqwest::Client::builder()
            .user_agent(concat!("patchbay/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.connect)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .dns_resolver(CheckedResolver(Arc::clone(&policy)))
            .build()
            .map_err(|error| OutboundError::Setup(words(&error)))?;
        Ok(Self {
            client,
            policy,
            connect: config.connect,
            breakers: None,
        })
    }

    /// With the circuit breakers of the fleet.
    #[must_use]
    pub fn with_breakers(mut self, breakers: Arc<Breakers>) -> Self {
        self.breakers = Some(breakers);
        self
    }

    /// The circuit breakers, where there are any.
    #[must_use]
    pub fn breakers(&self) -> Option<&Arc<Breakers>> {
        self.breakers.as_ref()
    }

    /// Sends once and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// No complete answer came, or the request may not be sent.
    pub async fn send(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let origin = Origin::of(&request.url)?;
        self.check_literal(&origin, &request)?;
        match (&self.breakers, request.subject.clone()) {
            (Some(breakers), Some(subject)) => {
                let limit = request.limits.total;
                let call = self.once(&origin, request);
                guarded::send(breakers, &subject, &origin, limit, call).await
            }
            _ => self.once(&origin, request).await,
        }
    }

    async fn once(
        &self,
        origin: &Origin,
        request: OutboundRequest,
    ) -> Result<OutboundResponse, OutboundError> {
        let (limits, head_only) = (request.limits, request.head_only);
        let request = prepare(origin, request)?;
        let exchange = self.exchange(origin, request, limits, head_only);
        match tokio::time::timeout(limits.total, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(OutboundError::Timeout {
                origin: origin.clone(),
                stage: Stage::Total,
                limit: limits.total,
            }),
        }
    }

    /// A literal address never reaches the resolver, so it is judged here.
    fn check_literal(
        &self,
        origin: &Origin,
        request: &OutboundRequest,
    ) -> Result<(), OutboundError> {
        let address = match request.url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.check_address(origin, address)
    }

    fn check_address(&self, origin: &Origin, address: IpAddr) -> Result<(), OutboundError> {
        if self.policy.permits(origin.host(), address) {
            Ok(())
        } else {
            Err(OutboundError::Blocked {
                origin: origin.clone(),
                address,
            })
        }
    }

    async fn exchange(
        &self,
        origin: &Origin,
        request: reqwest::Request,
        limits: Limits,
        head_only: bool,
    ) -> Result<OutboundResponse, OutboundError> {
        let started = Instant::now();
        let sent = tokio::time::timeout(limits.header, self.client.execute(request)).await;
        let mut response = sent
            .map_err(|_| OutboundError::Timeout {
                origin: origin.clone(),
                stage: Stage::Header,
                limit: limits.header,
            })?
            .map_err(|error| self.classify(origin, &error))?;
        // The resolver has passed this address; a connection that leads elsewhere is a defect.
        match response.remote_addr() {
            Some(peer) => self.check_address(origin, peer.ip())?,
            None => {
                return Err(OutboundError::Broken {
                    origin: origin.clone(),
                    reason: "peer unknown".into(),
                });
            }
        }
        let too_large = || OutboundError::TooLarge {
            origin: origin.clone(),
            limit: limits.body,
        };
        let announced = response.content_length();
        if !head_only && announced.is_some_and(|length| length > limits.body) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while !head_only
            && let Some(chunk) = response
                .chunk()
                .await
                .map_err(|error| self.classify(origin, &error))?
        {
            if (body.len() + chunk.len()) as u64 > limits.body {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        tracing::debug!(
            %origin,
            status = response.status().as_u16(),
            bytes = body.len(),
            ms = started.elapsed().as_millis(),
            "answer from abroad"
        );
        Ok(OutboundResponse {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    fn classify(&self, origin: &Origin, error: &reqwest::Error) -> OutboundError {
        let origin = origin.clone();
        if let Some(RefusedAddress(address)) = source::<RefusedAddress>(error) {
            return OutboundError::Blocked {
                origin,
                address: *address,
            };
        }
        let reason = words(error);
        if error.is_timeout() {
            OutboundError::Timeout {
                origin,
                stage: Stage::Connect,
                limit: self.connect,
            }
        } else if error.is_dns() {
            OutboundError::Dns { origin, reason }
        } else if error.is_connect() {
            // A TLS error after the handshake breaks an exchange that has begun.
            match source::<rustls::Error>(error) {
                Some(_) => OutboundError::Tls { origin, reason },
                None => OutboundError::Connect { origin, reason },
            }
        } else if error.is_builder() {
            OutboundError::Malformed(reason)
        } else {
            OutboundError::Broken { origin, reason }
        }
    }
}

fn prepare(origin: &Origin, request: OutboundRequest) -> Result<reqwest::Request, OutboundError> {
    let OutboundRequest {
        method,
        url,
        headers,
        body,
        credentials,
        body_origins,
        trace_context,
        subject: _,
        limits: _,
        head_only: _,
    } = request;
    let foreign = |allowed: &[Origin]| !allowed.contains(origin);
    if body_origins.is_some_and(|allowed| foreign(&allowed))
        || credentials.iter().any(|it| foreign(&it.origins))
    {
        return Err(OutboundError::ForeignHost {
            origin: origin.clone(),
        });
    }
    let mut prepared = reqwest::Request::new(method, url);
    *prepared.headers_mut() = headers;
    *prepared.body_mut() = body.map(Into::into);
    if let Some(trace) = trace_context.and_then(|text| HeaderValue::try_from(text).ok()) {
        prepared.headers_mut().insert(TRACEPARENT, trace);
    }
    for credential in credentials {
        prepared
            .headers_mut()
            .insert(credential.name.clone(), credential.value()?);
    }
    Ok(prepared)
}

/// The first error of a type in a chain of causes. I/O errors hide theirs inside.
fn source<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The innermost cause in words. The outer ones repeat the address with its query.
fn words(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    if innermost.is::<reqwest::Error>() {
        "the request failed".into()
    } else {
        innermost.to_string()
    }
}
