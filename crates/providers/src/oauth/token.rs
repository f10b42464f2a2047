//! Calls of a token endpoint: a code or a refresh token for a grant. Each is sent once.

use std::collections::BTreeMap;

use patchbay_core::{
    clock::Clock,
    outbound::{
        Credential, Limits, Method, Outbound, OutboundRequest, Subject,
        header::{ACCEPT, HeaderValue},
    },
    secret::Secret,
};
use url::{Url, form_urlencoded};

use super::{
    OauthClient,
    answer::{self, Grant, LONGEST},
    long_lived,
    place::OauthPlace,
    refusal::{TokenError, judge},
    rules::{ClientAuth, RefreshTokens, TokenBody},
};

/// Everything a call of a token endpoint needs beside what it exchanges.
#[derive(Debug, Clone, Copy)]
pub struct TokenCall<'a> {
    /// The one client.
    pub outbound: &'a Outbound,
    /// Where.
    pub place: &'a OauthPlace,
    /// As whom.
    pub client: &'a OauthClient,
    /// Time; tells when a token expires that lives for so many seconds.
    pub clock: &'a dyn Clock,
    /// W3C `traceparent` of the job.
    pub trace_context: Option<&'a str>,
    /// Deadlines. Answers over 64 KB are refused whatever they say.
    pub limits: Limits,
    /// Sent also while the host is left alone: what it says cannot be asked for later.
    pub exempt: bool,
}

/// Exchanges the code of a callback. The code is used up by this, whatever comes back.
///
/// # Errors
/// No grant came; the variant says what is known.
pub async fn exchange(
    call: &TokenCall<'_>,
    code: &Secret,
    redirect_uri: &Url,
    verifier: Option<&Secret>,
) -> Result<Grant, TokenError> {
    let rules = &call.place.rules;
    let sends = |name: &str| !rules.exchange_omits.iter().any(|one| one == name);
    let mut params = Params::default();
    if sends("grant_type") {
        params.add("grant_type", "authorization_code");
    }
    params.add("code", code.expose());
    if sends("redirect_uri") {
        params.add("redirect_uri", redirect_uri.as_str());
    }
    if let Some(verifier) = verifier {
        params.add("code_verifier", verifier.expose());
    }
    for (name, value) in &rules.exchange_parameters {
        params.add(name, value);
    }
    let mut sent = vec![code];
    sent.extend(verifier);
    let grant = long_lived::exchange(call, call.ask(params, sent).await?).await?;
    let is_lasting = grant.expires_at.is_none() || grant.fields.get("refresh_token").is_some();
    if rules.refresh_tokens != RefreshTokens::None && !is_lasting {
        // It would end within the hour, with nobody there to consent again.
        let what = "grants a token that expires, and no refresh token";
        return Err(TokenError::malformed(call.place, what));
    }
    Ok(grant)
}

/// Exchanges a refresh token. Where the provider rotates them, the old one is dead as
/// soon as this is answered: the new one must be stored before it is used.
///
/// # Errors
/// No grant came; the variant says what is known.
pub async fn refresh(call: &TokenCall<'_>, refresh_token: &Secret) -> Result<Grant, TokenError> {
    let mut params = Params::default();
    params.add("grant_type", "refresh_token");
    params.add("refresh_token", refresh_token.expose());
    call.ask(params, vec![refresh_token]).await
}

impl<'a> TokenCall<'a> {
    async fn ask(
        &self,
        mut params: Params<'a>,
        mut sent: Vec<&Secret>,
    ) -> Result<Grant, TokenError> {
        let rules = &self.place.rules;
        let mut credential = None;
        match rules.client {
            ClientAuth::None => params.add("client_id", &self.client.id),
            ClientAuth::Body => {
                params.add("client_id", &self.client.id);
                params.add("client_secret", self.secret()?.expose());
            }
            ClientAuth::Basic => {
                let origins = self.place.origins.clone();
                credential = Some(Credential::basic(&self.client.id, self.secret()?, origins));
            }
        }
        sent.extend(&self.client.secret);
        let mut request = self.request(Method::POST, &self.place.token);
        for (name, value) in rules.headers() {
            request = request.header(name, value);
        }
        request = params.into_body(rules.body, request, self.place);
        request.credentials.extend(credential);
        let answer = self.outbound.send(request).await?;
        let now = self.clock.now();
        let granted = judge(self.place, &answer, now, &sent)?;
        answer::read(rules, &granted, now).map_err(|what| TokenError::malformed(self.place, &what))
    }

    /// A request of this call, without body.
    pub(super) fn request(&self, method: Method, url: &Url) -> OutboundRequest {
        let mut request = OutboundRequest::new(method, url.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        request.trace_context = self.trace_context.map(str::to_owned);
        request.limits = self.limits;
        request.subject = Some(Subject {
            provider: self.place.provider.as_str().into(),
            label: self.place.label.as_str().into(),
            exempt: self.exempt,
        });
        request.limits.body = request.limits.body.min(LONGEST);
        request
    }

    pub(super) fn secret(&self) -> Result<&'a Secret, TokenError> {
        self.client
            .secret
            .as_ref()
            .ok_or_else(|| TokenError::unset(self.place, "secret"))
    }
}

/// Parameters of a token call, each once.
#[derive(Default)]
pub(super) struct Params<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Params<'a> {
    pub fn add(&mut self, name: &'a str, value: &'a str) {
        self.0.insert(name, value);
    }

    /// As the body of a request, which goes to the place's origins only.
    pub fn into_body(
        self,
        kind: TokenBody,
        request: OutboundRequest,
        place: &OauthPlace,
    ) -> OutboundRequest {
        let (kind, body) = match kind {
            TokenBody::Form => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(&self.0);
                let kind = "application/x-www-form-urlencoded";
                (kind, form.finish().into_bytes())
            }
            TokenBody::Json => {
                let body = serde_json::to_vec(&self.0).expect("a map of texts is always JSON");
                ("application/json", body)
            }
        };
        let kind = HeaderValue::from_static(kind);
        request.secret_body(kind, body, place.origins.clone())
    }
}
