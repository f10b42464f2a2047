//! A running stand-in, sessions at it, consents, and whole runs of a stream.

use std::{sync::Arc, time::Duration};

use patchbay_core::{
    clock::{Clock, SystemClock},
    outbound::{
        AddressPolicy, Limits, Outbound, OutboundConfig, OutboundRequest, header::LOCATION,
    },
    secret::{Secret, SecretFields},
};
use patchbay_providers::{
    Backoff, Pkce, Provider, ProviderError, Pull, PullMode, PulledRecord, Registry, Session,
    oauth::{self, Grant, OauthClient, OauthPlace, TokenCall, TokenError},
};
use patchbay_sandbox::{
    Dataset, RunningSandbox, Sandbox, SandboxOptions, Sizes, etsy,
    google::{self, data::DriveSizes},
    oauth::{Answer, OAuth},
    shopify, slack, square,
};
use serde_json::{Value, json};
use url::Url;

/// A provider's stand-in with a registry that leads there.
pub struct StandIn {
    pub sandbox: RunningSandbox,
    pub registry: Registry,
    pub client: OauthClient,
    /// What a connection at it is configured with.
    pub config: Value,
    key: &'static str,
    /// What it is opened with: a token that never ends, or a grant of a consent.
    secret: SecretFields,
    outbound: Arc<Outbound>,
}

/// A callback that came: its query, and what answers its challenge.
pub struct Callback {
    pub query: Vec<(String, String)>,
    pub verifier: Option<Secret>,
}

/// Where browsers are sent back to.
pub const REDIRECT_URI: &str = "http://127.0.0.1:7420/api/integrations/callback/it";

/// Everything a run of a stream brought.
#[derive(Debug)]
pub struct Run {
    pub records: Vec<PulledRecord>,
    pub cursor: Option<Value>,
    pub complete: bool,
    pub pages: usize,
    pub total: Option<u64>,
}

impl StandIn {
    pub async fn small() -> Self {
        let sizes = Sizes {
            items: 120,
            orders: 90,
            customers: 130,
            ..Sizes::default()
        };
        Self::with(Dataset::seeded(7, &sizes)).await
    }

    pub async fn with(dataset: Dataset) -> Self {
        let options = SandboxOptions::with(dataset);
        let mut at = Self::started("square", options, client("sandbox-square")).await;
        at.secret = fields(&[("access_token", square::DEFAULT_TOKEN)]);
        at
    }

    /// The stand-in of a provider, connected. One of Square has a token made by hand.
    pub async fn of(provider: &dyn Provider) -> Self {
        match provider.manifest().key.as_str() {
            "square" => Self::small().await,
            key => {
                let mut at = Self::unconnected(key).await;
                at.connect_for_good().await;
                at
            }
        }
    }

    /// The stand-in of a provider that nobody has consented to.
    pub async fn unconnected(key: &str) -> Self {
        let few = Sizes {
            items: 1,
            orders: 1,
            customers: 1,
            ..Sizes::default()
        };
        let small = SandboxOptions {
            drive: DriveSizes {
                documents: 30,
                others: 12,
                shared: 7,
                ..DriveSizes::default()
            },
            ..SandboxOptions::with(Dataset::seeded(7, &few))
        };
        match key {
            "square" => Self::small().await,
            "google_drive" => {
                Self::started("google_drive", small, client(google::oauth::CLIENT_ID)).await
            }
            "slack" => {
                Self::started("slack", small, client(slack::oauth::ROTATING_CLIENT_ID)).await
            }
            "etsy" => Self::started("etsy", small, client(etsy::oauth::CLIENT_ID)).await,
            "shopify" => {
                let client = client(shopify::oauth::CLIENT_ID);
                let mut at = Self::started("shopify", small, client).await;
                at.config = json!({ "shop": shopify::DEFAULT_SHOP });
                at
            }
            other => panic!("provider {other} has no stand-in"),
        }
    }

    async fn started(key: &'static str, options: SandboxOptions, client: OauthClient) -> Self {
        let sandbox = Sandbox::start(options).await.expect("a free port");
        let path = key.strip_suffix("_drive").unwrap_or(key);
        let urls = sandbox.urls();
        let (_, root) = urls
            .iter()
            .find(|(at, _)| *at == path)
            .expect("it is there");
        let registry = Registry::builtin()
            .with_base_url(key, root.parse().expect("an address"))
            .expect("the provider is there");
        Self {
            sandbox,
            registry,
            client,
            config: json!({}),
            key,
            secret: SecretFields::default(),
            outbound: Arc::new(outbound()),
        }
    }

    pub fn provider(&self) -> &dyn Provider {
        &**self.registry.get(self.key).expect("it is there")
    }

    pub fn session(&self) -> Session {
        self.session_of(self.secret.clone(), self.config.clone())
    }

    pub fn session_with(&self, token: &str, config: Value) -> Session {
        self.session_of(fields(&[("access_token", token)]), config)
    }

    /// A session with this secret and config. Its waits are short: they are real time.
    pub fn session_of(&self, secret: SecretFields, config: Value) -> Session {
        let outbound = Arc::clone(&self.outbound);
        let clock = Arc::new(SystemClock);
        let session = self
            .registry
            .open(self.provider(), outbound, clock, config, secret, None);
        let mut session = session.with_client(Some(self.client.clone()));
        session.backoff = Backoff {
            first: Duration::from_millis(1),
            ..Backoff::default()
        };
        session
    }

    /// The stand-in's own books of grants.
    pub fn books(&self) -> &OAuth {
        match self.key {
            "square" => &self.sandbox.square.oauth,
            "google_drive" => &self.sandbox.google.oauth,
            "slack" => &self.sandbox.slack.oauth,
            "etsy" => &self.sandbox.etsy.oauth,
            "shopify" => &self.sandbox.shopify.oauth,
            other => panic!("provider {other} has no books"),
        }
    }

    pub fn place(&self) -> OauthPlace {
        self.registry
            .oauth(self.provider(), &self.config)
            .expect("a consent")
    }

    /// Goes to the consent page and agrees.
    pub async fn agree(&self) -> Callback {
        self.books().answer_always(Some(Answer::default()));
        let place = self.place();
        let (challenge, verifier) = match place.pkce {
            Pkce::Off => (None, None),
            Pkce::On | Pkce::Required => {
                let (challenge, verifier) = oauth::pkce();
                (Some(challenge), Some(verifier))
            }
        };
        let scopes = self.provider().manifest().scopes_for(None);
        let redirect_uri: Url = REDIRECT_URI.parse().expect("an address");
        let url = oauth::consent_url(
            &place,
            &self.client.id,
            &redirect_uri,
            "st4te",
            &scopes,
            challenge.as_deref(),
        );
        let answer = self.outbound.send(OutboundRequest::get(url)).await;
        let answer = answer.expect("the consent page answers");
        let location = answer
            .headers
            .get(LOCATION)
            .unwrap_or_else(|| panic!("no way back: {}", String::from_utf8_lossy(&answer.body)));
        let location: Url = location
            .to_str()
            .expect("text")
            .parse()
            .expect("an address");
        assert!(location.as_str().starts_with(REDIRECT_URI), "{location}");
        Callback {
            query: location.query_pairs().into_owned().collect(),
            verifier,
        }
    }

    pub async fn exchange(&self, callback: &Callback) -> Result<Grant, TokenError> {
        let (place, client) = (self.place(), self.client.clone());
        let code = Secret::new(callback.get("code"));
        let redirect_uri = REDIRECT_URI.parse().expect("an address");
        let verifier = callback.verifier.as_ref();
        oauth::exchange(&self.call(&place, &client), &code, &redirect_uri, verifier).await
    }

    /// Consents, and exchanges the code.
    pub async fn connect(&self) -> Grant {
        let callback = self.agree().await;
        self.exchange(&callback).await.expect("a grant")
    }

    /// Consents; sessions use the grant from now on.
    pub async fn connect_for_good(&mut self) {
        self.secret = self.connect().await.fields;
    }

    pub async fn refresh(&self, fields: &SecretFields) -> Result<Grant, TokenError> {
        let (place, client) = (self.place(), self.client.clone());
        let token = fields.get("refresh_token").expect("a refresh token");
        oauth::refresh(&self.call(&place, &client), token).await
    }

    pub async fn revoke(&self, fields: &SecretFields) -> Result<(), TokenError> {
        let (place, client) = (self.place(), self.client.clone());
        oauth::revoke(&self.call(&place, &client), fields).await
    }

    fn call<'a>(&'a self, place: &'a OauthPlace, client: &'a OauthClient) -> TokenCall<'a> {
        TokenCall {
            outbound: &self.outbound,
            place,
            client,
            clock: &SystemClock,
            trace_context: None,
            limits: Limits::default(),
            exempt: false,
        }
    }

    /// Makes one change at the merchant and tells what it changed.
    pub fn change(&self, kind: square::data::ChangeKind, id: Option<&str>) -> String {
        let change = self
            .sandbox
            .square
            .change(square::DEFAULT_MERCHANT, kind, id)
            .expect("the merchant");
        change.expect("something to change").id
    }

    pub fn summary(&self) -> square::data::Summary {
        self.sandbox
            .square
            .summaries()
            .remove(square::DEFAULT_MERCHANT)
            .expect("the merchant")
    }

    pub async fn run(
        &self,
        stream: &str,
        mode: PullMode,
        cursor: Option<Value>,
    ) -> Result<Run, ProviderError> {
        run(self.provider(), &self.session(), stream, mode, cursor).await
    }

    pub async fn full(&self, stream: &str) -> Run {
        self.run(stream, PullMode::Full, None)
            .await
            .expect("a full run")
    }

    pub async fn changes(&self, stream: &str, cursor: Option<Value>) -> Run {
        self.run(stream, PullMode::Incremental, cursor)
            .await
            .expect("an incremental run")
    }
}

impl Callback {
    /// A parameter of the query.
    pub fn get(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(one, _)| one == name);
        found.map_or("", |(_, value)| value)
    }
}

/// The client that a stand-in knows from its start; its secret is named after it.
pub fn client(id: &str) -> OauthClient {
    OauthClient {
        id: id.into(),
        secret: Some(Secret::new(format!("{id}-secret"))),
    }
}

pub fn fields(fields: &[(&str, &str)]) -> SecretFields {
    let field = |(name, text): &(&str, &str)| ((*name).to_owned(), Secret::new(*text));
    SecretFields(fields.iter().map(field).collect())
}

/// A client that reaches this machine.
pub fn outbound() -> Outbound {
    let allow = vec!["127.0.0.0/8".parse().expect("a subnet")];
    let config = OutboundConfig {
        policy: AddressPolicy { allow },
        ..OutboundConfig::default()
    };
    Outbound::new(config).expect("a client")
}

/// Pulls a stream to its end. Between two pages the position travels as text, as it
/// does when another process goes on after a crash.
pub async fn run(
    provider: &dyn Provider,
    session: &Session,
    stream: &str,
    mode: PullMode,
    cursor: Option<Value>,
) -> Result<Run, ProviderError> {
    let started_at = SystemClock.now();
    let mut pull = Pull {
        stream: stream.into(),
        mode,
        cursor,
        position: None,
        started_at,
    };
    let mut run = Run {
        records: Vec::new(),
        cursor: None,
        complete: true,
        pages: 0,
        total: None,
    };
    loop {
        let page = provider.pull(session, &pull).await?;
        run.pages += 1;
        run.complete &= page.complete;
        run.total = run.total.or(page.total);
        run.records.extend(page.records);
        let Some(next) = page.next else {
            run.cursor = page.cursor;
            return Ok(run);
        };
        assert!(
            page.cursor.is_none(),
            "the cursor is said before the last page"
        );
        assert!(run.pages < 500, "a run without end");
        pull.position = Some(serde_json::from_str(&next.to_string()).expect("JSON"));
    }
}

impl Run {
    pub fn ids(&self) -> std::collections::BTreeSet<&str> {
        self.records
            .iter()
            .map(|record| record.external_id.as_str())
            .collect()
    }

    pub fn of_kind(&self, kind: &str) -> Vec<&PulledRecord> {
        self.records
            .iter()
            .filter(|record| record.kind == kind)
            .collect()
    }

    pub fn record(&self, id: &str) -> &PulledRecord {
        self.records
            .iter()
            .find(|record| record.external_id == id)
            .unwrap_or_else(|| panic!("no record {id}"))
    }
}
