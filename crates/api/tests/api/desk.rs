//! An API with its database, two organizations and a key of each role.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use patchbay_api::ApiDeps;
use patchbay_core::{
    clock::{Clock, ShiftedClock},
    connection::Role,
    hints::{Hints, MemoryHints},
    ids::{OrgId, ProcessId},
    store::{
        Store,
        connect::{ConnectOptions, connect},
    },
    vault::Keyring,
};
use patchbay_migrations::{Migrator, MigratorTrait};
use patchbay_providers::Registry;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// Everything a test talks to.
pub struct Desk {
    pub store: Store,
    pub hints: Arc<dyn Hints>,
    pub clock: ShiftedClock,
    pub keyring: Keyring,
    pub router: Router,
    pub org: OrgId,
    pub owner: String,
    pub viewer: String,
    pub member: String,
    /// The owner key of another organization.
    pub stranger: String,
    _folder: TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The answer, if its status is the one expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        self.body
    }

    /// The problem, if it is one of this kind.
    #[track_caller]
    pub fn problem(self, status: u16, slug: &str) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{:#}", self.body);
        let body = self.expect(status);
        assert_eq!(body["type"], format!("/problems/{slug}"), "{body:#}");
        assert_eq!(body["status"], status);
        body
    }

    /// The pointers of a validation problem.
    #[track_caller]
    pub fn pointers(self) -> Vec<String> {
        let body = self.problem(422, "validation");
        let errors = body["errors"].as_array().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }

    /// The names of an invalid-query problem.
    #[track_caller]
    pub fn parameters(self) -> Vec<String> {
        let body = self.problem(400, "invalid-query");
        let errors = body["errors"].as_array().unwrap();
        errors.iter().map(|error| error["parameter"].as_str().unwrap().to_owned()).collect()
    }
}

pub async fn desk() -> Desk {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/api.db", folder.path().display());
    let options = ConnectOptions { max_connections: 4, application_name: "test".into() };
    let db = connect(&url, options).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    let clock = ShiftedClock::default();
    let store = Store::new(db, Arc::new(clock.clone()) as Arc<dyn Clock>);
    let hints: Arc<dyn Hints> = Arc::new(MemoryHints::new());
    let keyring = Keyring::parse(&Keyring::generate()).unwrap();

    let tx = store.begin().await.unwrap();
    let org = store.create_org(&tx, "ours", "test").await.unwrap().id;
    let theirs = store.create_org(&tx, "theirs", "test").await.unwrap().id;
    let mut keys = Vec::new();
    for (org, role) in [(org, Role::Owner), (org, Role::Viewer), (org, Role::Member), (theirs, Role::Owner)] {
        let (_, key) = store.create_api_key(&tx, org, "test", role, "test").await.unwrap();
        keys.push(key.expose().to_owned());
    }
    tx.commit().await.unwrap();
    let [owner, viewer, member, stranger] = keys.try_into().unwrap();

    let router = patchbay_api::router(ApiDeps {
        store: store.clone(),
        hints: Arc::clone(&hints),
        sealing: keyring.sealing_public().clone(),
        providers: Arc::new(Registry::builtin()),
    });
    Desk { store, hints, clock, keyring, router, org, owner, viewer, member, stranger, _folder: folder }
}

impl Desk {
    /// A request to a path under the base, as the owner.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.ask_as(&self.owner, method, path, body).await
    }

    pub async fn ask_as(&self, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(key, method, path);
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub fn request(&self, key: &str, method: Method, path: &str) -> axum::http::request::Builder {
        let uri = format!("/api/integrations{path}");
        Request::builder().method(method).uri(uri).header("authorization", format!("Bearer {key}"))
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A process that may claim jobs.
    pub async fn worker(&self) -> ProcessId {
        let me = ProcessId::new(self.store.clock());
        self.store.jobs().register(me, "worker", "test").await.unwrap();
        me
    }
}
