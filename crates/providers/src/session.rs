//! One connection opened for work: what a provider gets to act with. It knows no
//! store and no queue; it ends with the job.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use patchbay_core::{
    clock::Clock,
    failure::FailureKind,
    outbound::{
        Credential, Origin, Outbound, OutboundRequest, OutboundResponse, Subject, TcpConnection,
        header::HeaderName,
    },
    secret::{Secret, SecretFields},
};
use serde_json::Value;
use url::Url;

use crate::{backoff::Backoff, effect::Effect, error::ProviderError, oauth::OauthClient};

/// Everything a provider's code may use.
#[derive(Debug, Clone)]
pub struct Session {
    /// The one client.
    pub outbound: Arc<Outbound>,
    /// Root of the provider's API: the manifest's, or the operator's override.
    pub base_url: Url,
    /// Origins that may be given the credential.
    pub credential_origins: Vec<Origin>,
    /// Checked config of the connection.
    pub config: Value,
    /// Opened credential of the connection.
    pub secret: SecretFields,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Whom it asks, for the circuit breakers.
    pub subject: Subject,
    /// W3C `traceparent` of the job.
    pub trace_context: Option<String>,
    /// How a refusal for haste is waited out.
    pub backoff: Backoff,
    /// The OAuth client of the grant, for providers whose API asks for it in every call
    /// (Etsy). Only a worker has it.
    pub client: Option<OauthClient>,
    /// Of an action that is not repeatable: asks for leave before it acts.
    pub effect: Option<Effect>,
}

impl Session {
    /// With the OAuth client that the connection's grant was given to.
    #[must_use]
    pub fn with_client(mut self, client: Option<OauthClient>) -> Self {
        self.client = client;
        self
    }

    /// With an effect to ask leave for.
    #[must_use]
    pub fn with_effect(mut self, effect: Option<Effect>) -> Self {
        self.effect = effect;
        self
    }

    /// The effect of an action that is not repeatable.
    ///
    /// # Errors
    /// Whoever runs the action does not watch it, so it must not act.
    pub fn effect(&self) -> Result<&Effect, ProviderError> {
        self.effect.as_ref().ok_or_else(|| {
            ProviderError::new(
                FailureKind::Internal,
                "Nothing was done: this action was started without a record of it.",
                "Report it with the job's id.",
            )
        })
    }

    /// Connects to the server that config names: the one that may be given the credential.
    /// Call it within [`guarded`](Self::guarded).
    ///
    /// # Errors
    /// The address policy refused it, or nobody is there.
    pub async fn dial(&self) -> Result<TcpConnection, ProviderError> {
        Ok(self.outbound.connect_tcp(self.server()?).await?)
    }

    /// Runs a dialogue with that server, which has ended after `limit`, under its circuit
    /// breaker.
    ///
    /// # Errors
    /// The server is left alone for now, or what the dialogue failed with.
    pub async fn guarded<T>(
        &self,
        limit: Duration,
        dialogue: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let server = self.server()?;
        self.outbound
            .guarded(
                &self.subject,
                server,
                limit,
                dialogue,
                ProviderError::host_said,
            )
            .await
    }

    /// Where its calls go first: the root of the API, or the server that config names.
    #[must_use]
    pub fn host(&self) -> Option<Origin> {
        let api = Origin::of(&self.base_url).ok();
        api.or_else(|| self.credential_origins.first().cloned())
    }

    fn server(&self) -> Result<&Origin, ProviderError> {
        match self.credential_origins.as_slice() {
            [origin] => Ok(origin),
            [] | [_, _, ..] => Err(ProviderError::invalid(
                "The connection's config names no server.",
                "Correct the connection's config.",
            )),
        }
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// An address below the root of the API. `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{root}{path}"));
        url
    }

    /// A secret field as a bearer token for this provider's hosts.
    ///
    /// # Errors
    /// The credential has no such field.
    pub fn bearer(&self, field: &str) -> Result<Credential, ProviderError> {
        let secret = self.field(field)?.clone();
        Ok(Credential::bearer(secret, self.credential_origins.clone()))
    }

    /// A secret field as a header of its own for this provider's hosts.
    ///
    /// # Errors
    /// The credential has no such field.
    pub fn header(&self, name: HeaderName, field: &str) -> Result<Credential, ProviderError> {
        let secret = self.field(field)?.clone();
        let origins = self.credential_origins.clone();
        Ok(Credential::header(name, secret, origins))
    }

    fn field(&self, field: &str) -> Result<&Secret, ProviderError> {
        self.secret.get(field).ok_or_else(|| {
            ProviderError::new(
                FailureKind::Auth,
                format!("The connection has no {field}."),
                "Connect the account again, or set its credential anew.",
            )
        })
    }

    /// Sends once, with the trace context of the job.
    ///
    /// # Errors
    /// No complete answer came.
    pub async fn send(
        &self,
        mut request: OutboundRequest,
    ) -> Result<OutboundResponse, patchbay_core::outbound::OutboundError> {
        request.trace_context.clone_from(&self.trace_context);
        request.subject = Some(self.subject.clone());
        self.outbound.send(request).await
    }
}
