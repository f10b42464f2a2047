//! An API with its router, a worker of the interactive queue, a stand-in, two organizations.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use patchbay_api::ApiDeps;
use patchbay_core::{
    clock::ShiftedClock,
    connection::Role,
    entities::{
        connection,
        job::{self, Model as Job},
    },
    hints::{Hints, MemoryHints},
    ids::{ConnectionId, JobId, OrgId},
    job::{JobKind, Queue},
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    secret::Secret,
    store::{
        Store,
        connect::{ConnectOptions, connect},
    },
    vault::{Keyring, Vault},
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_providers::Registry;
use patchbay_sandbox::{Dataset, RunningSandbox, Sandbox, SandboxOptions, Sizes, oauth::Answer};
use patchbay_tests::TestDatabase;
use patchbay_worker::{Context, OauthClients, WorkerDeps, own_connection};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

use super::{
    browser::Browser,
    plan::{clients, settings},
};
use crate::guarded::guarded;

pub use super::plan::Plan;

/// Where browsers are told to find the API; the router itself is asked without a network.
pub const PUBLIC_URL: &str = "http://127.0.0.1:7420";

pub struct Desk {
    pub ctx: Context,
    pub clock: ShiftedClock,
    pub sandbox: RunningSandbox,
    pub router: Router,
    pub org: OrgId,
    pub key: String,
    /// The owner key of another organization.
    pub stranger: String,
    url: String,
    _database: Kept,
}

/// Goes when the test ends.
enum Kept {
    Sqlite { _folder: tempfile::TempDir },
    Postgres { _database: TestDatabase },
}

/// An answer of the API.
#[derive(Debug)]
pub struct Said {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Said {
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    /// The kind of problem, if it is one.
    #[track_caller]
    pub fn problem(&self, status: u16, slug: &str) -> Value {
        let body = self.json(status);
        assert_eq!(body["type"], format!("/problems/{slug}"), "{body:#}");
        body
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Desk {
    pub async fn new(plan: Plan) -> Self {
        let (url, database) = if plan.postgres {
            let database = TestDatabase::fresh().await;
            (
                database.url().to_owned(),
                Kept::Postgres {
                    _database: database,
                },
            )
        } else {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("test.db").display());
            (url, Kept::Sqlite { _folder: folder })
        };
        let options = ConnectOptions {
            max_connections: 8,
            application_name: "test".into(),
        };
        let db = connect(&url, options).await.unwrap();
        if !plan.postgres {
            Migrator::up(&db, None).await.unwrap();
        }
        let clock = ShiftedClock::default();
        let store = Store::new(db, Arc::new(clock.clone()));
        let sizes = Sizes {
            items: 5,
            orders: 5,
            customers: 5,
            ..Sizes::default()
        };
        let sandbox = Sandbox::start(SandboxOptions::with(Dataset::seeded(1, &sizes)))
            .await
            .unwrap();
        sandbox.square.oauth.answer_always(Some(Answer::default()));
        sandbox.google.oauth.answer_always(Some(Answer::default()));
        let keyring = Keyring::parse(&Keyring::generate()).unwrap();
        let sealing = keyring.sealing_public().clone();
        let deployment = store.deployment_id().await.unwrap();
        let stand_ins = sandbox.urls().into_iter();
        let registry = stand_ins.fold(Registry::builtin(), |registry, (at, url)| {
            let key = if at == "google" { "google_drive" } else { at };
            registry.with_base_url(key, url.parse().unwrap()).unwrap()
        });
        let providers = Arc::new((plan.registry)(registry));
        let loopback = if plan.reaches_loopback {
            vec!["127.0.0.0/8".parse().unwrap()]
        } else {
            Vec::new()
        };
        let hints: Arc<dyn Hints> = Arc::new(MemoryHints::new());
        let ctx = Context {
            hints: Arc::clone(&hints),
            clock: Arc::new(clock.clone()),
            vault: Arc::new(Vault::new(keyring, deployment)),
            providers: Arc::clone(&providers),
            outbound: Arc::new(
                Outbound::new(OutboundConfig {
                    policy: AddressPolicy {
                        allow: loopback.clone(),
                    },
                    ..OutboundConfig::default()
                })
                .unwrap(),
            ),
            clients: Arc::new(OauthClients::new(clients())),
            refresher: Arc::default(),
            consents: Arc::default(),
            silence: Arc::default(),
            store: store.clone(),
        };
        let tx = store.begin().await.unwrap();
        let mut made = Vec::new();
        for name in ["ours", "theirs"] {
            let org = store.create_org(&tx, name, "test").await.unwrap().id;
            let (_, key) = store
                .create_api_key(&tx, org, "test", Role::Owner, "test")
                .await
                .unwrap();
            made.push((org, key.expose().to_owned()));
        }
        tx.commit().await.unwrap();
        let deps = ApiDeps {
            store,
            hints,
            sealing,
            providers,
            consent: Arc::new(settings(&plan.settings)),
            addresses: AddressPolicy { allow: loopback },
        };
        Self {
            router: patchbay_api::router(deps),
            ctx,
            clock,
            sandbox,
            org: made[0].0,
            key: made[0].1.clone(),
            stranger: made[1].1.clone(),
            url,
            _database: database,
        }
    }

    /// A worker of the interactive queue, until it is dropped.
    pub fn worker(&self) -> DropGuard {
        self.worker_of(&[Queue::Interactive])
    }

    /// A worker of these queues, until it is dropped.
    pub fn worker_of(&self, queues: &[Queue]) -> DropGuard {
        let ctx = self.ctx.clone();
        let connect = own_connection(self.url.clone(), &ctx);
        let mut deps = WorkerDeps::new(ctx, connect, "worker", "test");
        deps.stop_within = Duration::from_secs(3);
        let shutdown = CancellationToken::new();
        tokio::spawn(patchbay_worker::run(
            deps,
            queues.iter().map(|queue| (*queue, 8)).collect(),
            shutdown.clone(),
            CancellationToken::new(),
        ));
        shutdown.drop_guard()
    }

    pub async fn send(&self, request: Request<Body>) -> Said {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Said {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub async fn call(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> Said {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/integrations{path}"))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Said {
        self.call(&self.key, Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Said {
        self.call(&self.key, Method::POST, path, Some(body)).await
    }

    pub async fn post_to(&self, connection: &str, what: &str, body: Value) -> Said {
        self.post(&format!("/connections/{connection}/{what}"), body)
            .await
    }

    /// Asks for a consent; its id and the address to open.
    pub async fn ask(&self, provider: &str, body: Value) -> (String, String) {
        let asked = self.post(&format!("/authorize/{provider}"), body).await;
        let asked = asked.json(201);
        let text = |name: &str| asked[name].as_str().unwrap().to_owned();
        (text("consent_id"), text("url"))
    }

    /// A consent that a browser has opened: its id, the browser, and the state that went to
    /// the provider.
    pub async fn opened(&self, provider: &str, body: Value) -> (String, Browser<'_>, String) {
        let (id, url) = self.ask(provider, body).await;
        let mut browser = Browser::new(self);
        let sent = browser.get(&url).await;
        assert_eq!(sent.status, 303, "{}", sent.text);
        let state = parameter(sent.header("location"), "state").unwrap();
        (id, browser, state)
    }

    pub async fn consent(&self, id: &str) -> Value {
        self.get(&format!("/consents/{id}")).await.json(200)
    }

    pub async fn connections(&self) -> Vec<connection::Model> {
        connection::Entity::find()
            .all(self.ctx.store.db())
            .await
            .unwrap()
    }

    pub async fn connection(&self, id: &str) -> Value {
        self.get(&format!("/connections/{id}")).await.json(200)
    }

    /// From now on calls pass the circuit breakers of the fleet.
    pub fn guard(&mut self) {
        self.ctx.outbound = guarded(&self.ctx.store);
    }

    pub async fn disconnect(&self, connection: &str) {
        let path = format!("/connections/{connection}");
        let ended = self.call(&self.key, Method::DELETE, &path, None).await;
        assert_eq!(ended.json(200)["status"], "disconnected");
    }

    /// Waits for the only revocation that was asked for; its job as people see it.
    pub async fn revocation(&self) -> Value {
        let asked = job::Entity::find()
            .filter(job::Column::Kind.eq(JobKind::CredentialRevoke))
            .one(self.ctx.store.db())
            .await
            .unwrap()
            .expect("a disconnect enqueues a revocation");
        let done = self
            .get(&format!("/jobs/{}?wait=30", asked.id))
            .await
            .json(200);
        assert_eq!(done["state"], "succeeded", "{done:#}");
        done
    }

    pub async fn job(&self, id: &str) -> Job {
        let id: JobId = id.parse().unwrap();
        job::Entity::find_by_id(id)
            .one(self.ctx.store.db())
            .await
            .unwrap()
            .unwrap()
    }

    /// Exchanges that were asked for.
    pub async fn exchanges(&self) -> usize {
        use sea_orm::PaginatorTrait;
        let jobs = job::Entity::find().filter(job::Column::Kind.eq(JobKind::ConsentExchange));
        usize::try_from(jobs.count(self.ctx.store.db()).await.unwrap()).unwrap()
    }

    /// Another merchant of the stand-in than the first.
    pub fn other_merchant(&self) -> String {
        patchbay_sandbox::square::OTHER_MERCHANT.to_owned()
    }

    /// Whether a text stands anywhere in the database in clear (SQLite).
    pub async fn holds(&self, text: &str) -> bool {
        let Kept::Sqlite { _folder: folder } = &self._database else {
            panic!("a file is read");
        };
        std::fs::read_dir(folder.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    }

    /// The opened secret fields of a connection's credential.
    pub async fn secret(&self, connection: &str) -> BTreeMap<String, Secret> {
        let id: ConnectionId = connection.parse().unwrap();
        let store = &self.ctx.store;
        let row = store
            .current_credential(store.db(), self.org, id)
            .await
            .unwrap()
            .unwrap();
        let sealed = row.sealed.unwrap();
        let vault = &self.ctx.vault;
        vault
            .open_credential(store, self.org, id, row.id, &sealed)
            .await
            .unwrap()
            .0
    }
}

/// A parameter of an address's query.
pub fn parameter(address: &str, name: &str) -> Option<String> {
    let url: url::Url = address.parse().unwrap();
    let pairs = url.query_pairs();
    pairs
        .into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Nothing to say beyond the defaults.
pub fn nothing() -> Value {
    json!({})
}
