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
    connection::{ConnectionStatus, Role},
    entities::job::Model as Job,
    failure::{Failure, FailureKind},
    hints::{Hints, MemoryHints, Signal},
    ids::{ConnectionId, CredentialId, JobId, OrgId, ProcessId},
    job::{JobKind, Lease, NewJob, Queue, SealedArgs, Settle, Settlement},
    outbound::AddressPolicy,
    progress::Progress,
    store::{
        Store,
        connect::{ConnectOptions, connect},
        connections::TestedAccount,
        credentials::NewCredential,
    },
    vault::{Keyring, Vault},
};
use patchbay_providers::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::database::Database;

/// A credential that must show up nowhere.
pub const SECRET: &str = "EAAA-very-secret-token-0123456789";

/// Everything a test talks to.
pub struct Desk {
    pub store: Store,
    pub hints: Arc<dyn Hints>,
    pub clock: ShiftedClock,
    pub deps: ApiDeps,
    keyring_text: String,
    pub router: Router,
    pub org: OrgId,
    pub owner: String,
    pub viewer: String,
    pub member: String,
    /// The owner key of another organization.
    pub stranger: String,
    database: Database,
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
        assert_eq!(
            self.headers["content-type"], "application/problem+json",
            "{:#}",
            self.body
        );
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
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The names of an invalid-query problem.
    #[track_caller]
    pub fn parameters(self) -> Vec<String> {
        let body = self.problem(400, "invalid-query");
        let errors = body["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["parameter"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub async fn desk() -> Desk {
    let database = Database::fresh().await;
    let options = ConnectOptions {
        max_connections: 4,
        application_name: "test".into(),
    };
    let db = connect(database.url(), options).await.unwrap();
    let clock = ShiftedClock::default();
    let store = Store::new(db, Arc::new(clock.clone()) as Arc<dyn Clock>);
    let hints: Arc<dyn Hints> = Arc::new(MemoryHints::new());
    let keyring_text = Keyring::generate().to_string();
    let keyring = Keyring::parse(&keyring_text).unwrap();

    let tx = store.begin().await.unwrap();
    let org = store.create_org(&tx, "ours", "test").await.unwrap().id;
    let theirs = store.create_org(&tx, "theirs", "test").await.unwrap().id;
    let mut keys = Vec::new();
    for (org, role) in [
        (org, Role::Owner),
        (org, Role::Viewer),
        (org, Role::Member),
        (theirs, Role::Owner),
    ] {
        let (_, key) = store
            .create_api_key(&tx, org, "test", role, "test")
            .await
            .unwrap();
        keys.push(key.expose().to_owned());
    }
    tx.commit().await.unwrap();
    let [owner, viewer, member, stranger] = keys.try_into().unwrap();

    let deps = ApiDeps {
        store: store.clone(),
        hints: Arc::clone(&hints),
        sealing: keyring.sealing_public().clone(),
        providers: Arc::new(Registry::builtin()),
        consent: Arc::default(),
        addresses: AddressPolicy {
            allow: vec![
                "127.0.0.1".parse().unwrap(),
                "erp.internal".parse().unwrap(),
            ],
        },
    };
    let router = patchbay_api::router(deps.clone());
    Desk {
        store,
        hints,
        clock,
        deps,
        keyring_text,
        router,
        org,
        owner,
        viewer,
        member,
        stranger,
        database,
    }
}

impl Desk {
    /// A request to a path under the base, as the owner.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// The same under an `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.post_once_as(&self.owner, path, key, body).await
    }

    pub async fn post_once_as(&self, who: &str, path: &str, key: &str, body: &Value) -> Answer {
        let request = self
            .request(who, Method::POST, path)
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.ask_as(&self.owner, method, path, body).await
    }

    pub async fn ask_as(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
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
        Request::builder()
            .method(method)
            .uri(uri)
            .header("authorization", format!("Bearer {key}"))
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Whether a text stands anywhere in the database in clear.
    pub async fn holds(&self, text: &str) -> bool {
        self.database.holds(text).await
    }

    /// A process that may claim jobs.
    pub async fn worker(&self) -> ProcessId {
        let me = ProcessId::new(self.store.clock());
        self.store
            .jobs()
            .register(me, "worker", "test")
            .await
            .unwrap();
        me
    }

    /// A connection of Square in a status: made through the API, moved there as a worker would.
    pub async fn connection(&self, status: ConnectionStatus) -> ConnectionId {
        let body = json!({ "provider": "square", "credential": { "access_token": SECRET } });
        let made = self.post("/connections", body).await.expect(202);
        let id: ConnectionId = made["connection"]["id"].as_str().unwrap().parse().unwrap();
        if status == ConnectionStatus::Pending {
            return id;
        }
        self.pass_test(id, made["job"]["id"].as_str().unwrap())
            .await;
        let tx = self.store.begin().await.unwrap();
        let row = self
            .store
            .lock_connection(&tx, self.org, id)
            .await
            .unwrap()
            .unwrap();
        match status {
            ConnectionStatus::Pending | ConnectionStatus::Active => {}
            ConnectionStatus::Error | ConnectionStatus::Expired => {
                let failure = Failure::new(FailureKind::Auth, "refused", "send another");
                self.store
                    .note_failure(&tx, &row, &failure, Some(status))
                    .await
                    .unwrap();
            }
            ConnectionStatus::Disabled => {
                self.store
                    .set_enabled(&tx, &row, false, "test")
                    .await
                    .unwrap();
            }
            ConnectionStatus::Disconnected => {
                self.store.disconnect(&tx, &row, "test").await.unwrap();
            }
        }
        tx.commit().await.unwrap();
        id
    }

    pub async fn active_connection(&self) -> ConnectionId {
        self.connection(ConnectionStatus::Active).await
    }

    /// What a worker does when a test passed: credential stored, connection active, job done.
    pub async fn pass_test(&self, connection: ConnectionId, job: &str) {
        let vault = Vault::new(
            Keyring::parse(&self.keyring_text).unwrap(),
            self.store.deployment_id().await.unwrap(),
        );
        let job = self.claim(job.parse().unwrap()).await;
        let sealed = SealedArgs {
            bytes: job.sealed.clone().unwrap(),
            key_id: job.sealed_key.clone().unwrap(),
        };
        let fields = vault.open_args(self.org, job.id, &sealed).unwrap();
        let tx = self.store.begin().await.unwrap();
        let row = self
            .store
            .lock_connection(&tx, self.org, connection)
            .await
            .unwrap()
            .unwrap();
        let id = CredentialId::new(self.store.clock());
        let sealed = vault
            .close_credential(&self.store, &tx, self.org, connection, id, &fields)
            .await
            .unwrap();
        let new = NewCredential {
            id,
            sealed,
            mask: json!(fields.masks()),
            expires_at: None,
            created_by: job.requested_by.clone(),
            grant: None,
        };
        self.store
            .replace_credential(&tx, self.org, connection, new)
            .await
            .unwrap();
        let account = TestedAccount {
            key: "M1".into(),
            name: "Shop".into(),
        };
        self.store
            .activate_connection(&tx, &row, job.args["config"].clone(), &account, "test")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.end(
            &job,
            Settle::Succeed {
                result: json!({ "account": "Shop" }),
            },
        )
        .await;
    }

    /// Puts a discarded job back among the dead: what is left of it a day after it died.
    pub async fn forget_discard(&self, id: JobId) {
        use patchbay_core::entities::job::{ActiveModel, Entity};
        use sea_orm::{ActiveValue::Set, EntityTrait};
        let change = ActiveModel {
            id: Set(id),
            discarded_at: Set(None),
            ..Default::default()
        };
        Entity::update(change).exec(self.store.db()).await.unwrap();
    }

    /// A job that does nothing.
    pub async fn noop_job(&self) -> Job {
        let tx = self.store.begin().await.unwrap();
        let new = NewJob::new(Some(self.org), JobKind::Noop, Queue::Maintenance, "test");
        let job = self
            .store
            .jobs()
            .enqueue(&tx, vec![new])
            .await
            .unwrap()
            .remove(0)
            .into_job();
        tx.commit().await.unwrap();
        job
    }

    /// Claims a job, as a worker does.
    pub async fn claim(&self, id: JobId) -> Job {
        let queue = self.store.job(self.org, id).await.unwrap().unwrap().queue;
        let me = self.worker().await;
        self.store
            .jobs()
            .claim(me, queue, &[id])
            .await
            .unwrap()
            .remove(0)
    }

    /// Commits progress of a claimed job and tells the watchers.
    pub async fn progress(&self, job: &Job, done: u64) {
        let tx = self.store.begin().await.unwrap();
        let lease = lease(job);
        assert!(self.store.jobs().fence(&tx, lease).await.unwrap());
        let progress = Progress {
            stage: "counting".into(),
            done,
            unit: "things".into(),
            ..Progress::default()
        };
        self.store
            .jobs()
            .checkpoint(&tx, lease, &progress, None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.signal(job.id).await;
    }

    /// Ends a claimed job and tells the watchers.
    pub async fn end(&self, job: &Job, end: Settle) {
        let settled = self
            .store
            .jobs()
            .settle(&[Settlement {
                lease: lease(job),
                end,
            }])
            .await
            .unwrap();
        assert_eq!(settled.len(), 1, "the lease was lost");
        self.signal(job.id).await;
    }

    pub async fn signal(&self, job: JobId) {
        self.hints
            .signal(Signal::Job { org: self.org, job })
            .await
            .unwrap();
    }
}

fn lease(job: &Job) -> Lease {
    Lease {
        job: job.id,
        epoch: job.lease_epoch,
    }
}
