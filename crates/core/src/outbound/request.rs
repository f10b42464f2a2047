//! What is sent and what comes back.

use std::{fmt, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde::Serialize;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::OutboundError;
use crate::secret::Secret;

/// Deadlines and the body cap of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From sending to the head of the answer.
    pub header: Duration,
    /// The whole exchange.
    pub total: Duration,
    /// Longest body taken, in bytes.
    pub body: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(30),
            total: Duration::from_secs(120),
            body: 32 * 1024 * 1024,
        }
    }
}

/// Scheme, host and port: what a credential is bound to (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an `http` or `https` address.
    ///
    /// # Errors
    /// Another scheme, or no host.
    pub fn of(url: &Url) -> Result<Self, OutboundError> {
        let port = match url.scheme() {
            "http" | "https" => url.port_or_known_default(),
            _ => None,
        };
        match (url.host_str(), port) {
            (Some(host), Some(port)) => Ok(Self {
                scheme: url.scheme().to_owned(),
                host: host.to_ascii_lowercase(),
                port,
            }),
            _ => Err(OutboundError::Malformed(format!(
                "`{}:` addresses are not served",
                url.scheme()
            ))),
        }
    }

    /// The origin of a service that is not HTTP: `smtp`, host and port.
    #[must_use]
    pub fn service(scheme: &str, host: &str, port: u16) -> Self {
        Self {
            scheme: scheme.to_owned(),
            host: host.to_ascii_lowercase(),
            port,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The host, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match (scheme.as_str(), port) {
            ("https", 443) | ("http", 80) => write!(f, "{scheme}://{host}"),
            _ => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

/// A secret header and the only origins it may go to.
#[derive(Debug, Clone)]
pub struct Credential {
    pub(super) name: HeaderName,
    pub(super) prefix: &'static str,
    pub(super) secret: Secret,
    pub(super) origins: Vec<Origin>,
}

impl Credential {
    /// `Authorization: Bearer <secret>` (RFC 6750).
    #[must_use]
    pub fn bearer(secret: Secret, origins: Vec<Origin>) -> Self {
        Self {
            name: reqwest::header::AUTHORIZATION,
            prefix: "Bearer",
            secret,
            origins,
        }
    }

    /// `Authorization: <scheme> <secret>`, for schemes that no standard names.
    #[must_use]
    pub fn scheme(scheme: &'static str, secret: Secret, origins: Vec<Origin>) -> Self {
        Self {
            name: reqwest::header::AUTHORIZATION,
            prefix: scheme,
            secret,
            origins,
        }
    }

    /// `Authorization: Basic <id and secret>`, both form-encoded first as RFC 6749,
    /// section 2.3.1, wants it of OAuth clients.
    #[must_use]
    pub fn basic(id: &str, secret: &Secret, origins: Vec<Origin>) -> Self {
        let encode = |text: &str| -> Zeroizing<String> {
            Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect())
        };
        let pair = Zeroizing::new(format!("{}:{}", *encode(id), *encode(secret.expose())));
        Self {
            name: reqwest::header::AUTHORIZATION,
            prefix: "Basic",
            secret: Secret::new(BASE64_STANDARD.encode(pair.as_bytes())),
            origins,
        }
    }

    /// `<name>: <secret>`.
    #[must_use]
    pub fn header(name: HeaderName, secret: Secret, origins: Vec<Origin>) -> Self {
        Self {
            name,
            prefix: "",
            secret,
            origins,
        }
    }

    pub(super) fn value(&self) -> Result<HeaderValue, OutboundError> {
        let space = if self.prefix.is_empty() { "" } else { " " };
        let text = Zeroizing::new(format!("{}{space}{}", self.prefix, self.secret.expose()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            OutboundError::Malformed("the credential has characters no header can carry".into())
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// One request abroad.
#[derive(Clone)]
pub struct OutboundRequest {
    /// Verb.
    pub method: Method,
    /// Target.
    pub url: Url,
    /// Headers, none of them secret.
    pub headers: HeaderMap,
    /// Body.
    pub body: Option<Vec<u8>>,
    /// The secret headers.
    pub credentials: Vec<Credential>,
    /// Of a body that holds a secret: the only origins it may go to.
    pub body_origins: Option<Vec<Origin>>,
    /// W3C `traceparent` of the work this belongs to.
    pub trace_context: Option<String>,
    /// Which provider is asked; `None` stands outside the circuit breakers.
    pub subject: Option<Subject>,
    /// Deadlines and body cap.
    pub limits: Limits,
    /// The head of the answer says everything that is wanted: its body is not read, however
    /// long or slow it is, and the answer has none.
    pub head_only: bool,
}

/// The provider that a request asks, for the circuit breakers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its key.
    pub provider: Arc<str>,
    /// Its name, for people.
    pub label: Arc<str>,
    /// Sent also while the host is left alone: a check, or a person's test. Its outcome
    /// counts like any other, so a person can see the provider recover.
    pub exempt: bool,
}

impl OutboundRequest {
    /// A request without body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            credentials: Vec::new(),
            body_origins: None,
            trace_context: None,
            subject: None,
            limits: Limits::default(),
            head_only: false,
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST with a JSON body.
    ///
    /// # Errors
    /// The body does not serialize.
    pub fn post_json<T: Serialize + ?Sized>(url: Url, body: &T) -> Result<Self, OutboundError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| OutboundError::Malformed(error.to_string()))?;
        let mut request = Self::new(Method::POST, url);
        request
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(body);
        Ok(request)
    }

    /// With a header that is not secret.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a credential; another one of another header goes beside it.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credentials.push(credential);
        self
    }

    /// With a body that holds a secret, such as a code or a refresh token: it is sent
    /// to these origins and to no other.
    #[must_use]
    pub fn secret_body(mut self, kind: HeaderValue, body: Vec<u8>, origins: Vec<Origin>) -> Self {
        self.headers.insert(CONTENT_TYPE, kind);
        self.body = Some(body);
        self.body_origins = Some(origins);
        self
    }
}

impl fmt::Debug for OutboundRequest {
    /// Bodies and queries may hold secrets: of the body its length is told, of the
    /// address no query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        url.set_query(None);
        f.debug_struct("OutboundRequest")
            .field("method", &self.method)
            .field("url", &url.as_str())
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.as_ref().map(Vec::len))
            .field("credentials", &self.credentials)
            .field("body_origins", &self.body_origins)
            .field("trace_context", &self.trace_context)
            .field("subject", &self.subject)
            .field("limits", &self.limits)
            .field("head_only", &self.head_only)
            .finish()
    }
}

/// A complete answer. Any status counts as one.
#[derive(Debug, Clone)]
pub struct OutboundResponse {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body, if it was wanted.
    pub body: Vec<u8>,
}

impl OutboundResponse {
    /// `Retry-After` in seconds, or as a date measured against `now` (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(&self, now: chrono::DateTime<chrono::Utc>) -> Option<Duration> {
        let text = self
            .headers
            .get(reqwest::header::RETRY_AFTER)?
            .to_str()
            .ok()?
            .trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        Some((at.to_utc() - now).to_std().unwrap_or(Duration::ZERO))
    }
}
