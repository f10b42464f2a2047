//! A fleet: PostgreSQL, Redis, the Square stand-in, and the processes of ours that
//! work on them; an org with a connection.

use std::process::{Command, Output, Stdio};

use patchbay_core::{
    outbound::{AddressPolicy, Credential, Origin, Outbound, OutboundConfig, OutboundRequest},
    secret::Secret,
};
use patchbay_sandbox::square::oauth::{CLIENT_ID, CLIENT_SECRET};
use patchbay_sandbox::{Dataset, Effect, Fault, RunningSandbox, Sandbox, SandboxOptions, Sizes};
use patchbay_tests::{
    PostgresServer, Process, RedisServer, TestDatabase, free_port, patchbay_binary,
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

/// Long enough to be interrupted: the stand-in takes 60 ms a page of 100.
const ITEMS: u32 = 3_000;

pub struct Fleet {
    pub sandbox: RunningSandbox,
    pub redis: RedisServer,
    pub api_port: u16,
    pub key: String,
    /// What processes that are started from now on log.
    pub log_level: &'static str,
    /// Id and secret of the OAuth client at Square that they are given.
    pub client: (String, String),
    database: TestDatabase,
    _postgres: PostgresServer,
    folder: TempDir,
    redis_url: String,
    public_key: String,
}

impl Fleet {
    /// Servers, tables, an org, keys; no process of ours runs yet.
    pub async fn prepare() -> Self {
        Self::with_orders(50).await
    }

    /// The same; the merchant has so many orders.
    pub async fn with_orders(orders: u32) -> Self {
        let postgres = PostgresServer::start().await.unwrap();
        let database = postgres.fresh().await.unwrap();
        let redis = RedisServer::start().await.unwrap();
        let sizes = Sizes {
            items: ITEMS,
            orders,
            customers: 20,
            ..Sizes::default()
        };
        let sandbox = Sandbox::start(SandboxOptions::with(Dataset::seeded(3, &sizes)))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut fleet = Self {
            redis_url: redis.url(),
            sandbox,
            redis,
            api_port: free_port(),
            key: String::new(),
            log_level: "info",
            client: (CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned()),
            database,
            _postgres: postgres,
            folder,
            public_key: String::new(),
        };
        let keyring = fleet.keyring();
        let keys = fleet.json(&["keys", "init", &keyring]);
        fleet.public_key = keys["sealing_public_key"].as_str().unwrap().to_owned();
        fleet.json(&["org", "create", "Bakery"])["api_key"]
            .as_str()
            .unwrap()
            .clone_into(&mut fleet.key);
        fleet
    }

    fn keyring(&self) -> String {
        self.folder
            .path()
            .join("keyring.toml")
            .display()
            .to_string()
    }

    pub async fn api(&self) -> Process {
        self.api_at(self.api_port).await
    }

    /// An API process on another port.
    pub async fn api_at(&self, port: u16) -> Process {
        let listen = format!("127.0.0.1:{port}");
        let public_url = format!("http://{listen}");
        let mut api = Process::patchbay(
            &["api", "--listen", &listen, "--admin-listen", "127.0.0.1:0"],
            &[
                ("PATCHBAY_DATABASE_URL", self.database.url()),
                ("PATCHBAY_REDIS_URL", &self.redis_url),
                ("PATCHBAY_SEALING_PUBLIC_KEY", &self.public_key),
                ("PATCHBAY_PUBLIC_URL", &public_url),
                ("PATCHBAY_OAUTH__SQUARE__CLIENT_ID", &self.client.0),
                (
                    "PATCHBAY_PROVIDERS__SQUARE__BASE_URL",
                    &self.sandbox.square_url(),
                ),
                ("PATCHBAY_LOG__LEVEL", self.log_level),
            ],
        )
        .unwrap();
        api.ready(port).await.unwrap();
        api
    }

    pub async fn worker(&self) -> Process {
        let (port, keyring) = (free_port(), self.keyring());
        let square = self.sandbox.square_url();
        let mut worker = Process::patchbay(
            &["worker", "--admin-listen", &format!("127.0.0.1:{port}")],
            &[
                ("PATCHBAY_DATABASE_URL", self.database.url()),
                ("PATCHBAY_REDIS_URL", &self.redis_url),
                ("PATCHBAY_KEYRING_FILE", &keyring),
                ("PATCHBAY_LOG__LEVEL", self.log_level),
                ("PATCHBAY_OUTBOUND__ALLOW", "127.0.0.0/8"),
                ("PATCHBAY_PROVIDERS__SQUARE__BASE_URL", &square),
                ("PATCHBAY_OAUTH__SQUARE__CLIENT_ID", &self.client.0),
                ("PATCHBAY_OAUTH__SQUARE__CLIENT_SECRET", &self.client.1),
            ],
        )
        .unwrap();
        worker.ready(port).await.unwrap();
        worker
    }

    pub async fn scheduler(&self) -> Process {
        let port = free_port();
        let mut scheduler = Process::patchbay(
            &["scheduler", "--admin-listen", &format!("127.0.0.1:{port}")],
            &[
                ("PATCHBAY_DATABASE_URL", self.database.url()),
                ("PATCHBAY_REDIS_URL", &self.redis_url),
                ("PATCHBAY_LOG__LEVEL", self.log_level),
            ],
        )
        .unwrap();
        scheduler.ready(port).await.unwrap();
        scheduler
    }

    /// Connects Square and slows the stand-in's catalog down.
    pub fn connect(&self) {
        self.connect_with(patchbay_sandbox::square::DEFAULT_TOKEN);
        self.slow_down(&[("*catalog*", 60)]);
    }

    /// How many milliseconds pages of what matches take from now on; others come at once.
    pub fn slow_down(&self, pages: &[(&str, u64)]) {
        self.sandbox.faults.clear();
        for (endpoint, ms) in pages {
            let late = Fault::at(*endpoint, Effect::Latency { ms: *ms });
            self.sandbox.faults.add(late).unwrap();
        }
    }

    /// Connects Square with this token.
    pub fn connect_with(&self, token: &str) {
        let secret = self.token_file(token);
        self.json(&["connect", "square", "--secret", &secret]);
    }

    /// Tries another token on the connection; it must be refused.
    pub fn refused_with(&self, token: &str) {
        let secret = self.token_file(token);
        let output = self.run(&["connections", "update", "square", "--secret", &secret]);
        assert!(!output.status.success(), "{output:?}");
    }

    fn token_file(&self, token: &str) -> String {
        let file = self.folder.path().join("token");
        std::fs::write(&file, token).unwrap();
        format!("access_token=@{}", file.display())
    }

    /// Asks for a full sync of the catalog; the job's id.
    pub fn sync_catalog(&self) -> String {
        self.sync("catalog")
    }

    /// Asks for a full sync of a stream; the job's id.
    pub fn sync(&self, stream: &str) -> String {
        let started = self.json(&["sync", "square", "--stream", stream, "--mode", "full"]);
        let job = started["jobs"][0]
            .get("id")
            .or_else(|| started[0].get("id"));
        job.and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no job in {started}"))
            .to_owned()
    }

    /// Records that a job has committed; it must still run.
    pub fn done_by(&self, job: &str) -> u64 {
        let shown = self.json(&["jobs", "show", job]);
        assert_eq!(shown["state"], "running", "{shown}");
        shown["progress"]["done"].as_u64().unwrap()
    }

    /// A command with `--output json`, which must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A POST to the API with the org's key, which must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let policy = AddressPolicy {
            allow: vec!["127.0.0.0/8".parse().unwrap()],
        };
        let outbound = Outbound::new(OutboundConfig {
            policy,
            ..OutboundConfig::default()
        });
        let url = format!("http://127.0.0.1:{}/api/integrations/{path}", self.api_port);
        let url: Url = url.parse().unwrap();
        let key = Credential::bearer(Secret::new(&self.key), vec![Origin::of(&url).unwrap()]);
        let request = OutboundRequest::post_json(url, body).unwrap();
        let answer = outbound
            .unwrap()
            .send(request.credential(key))
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&answer.body);
        assert!(
            answer.status.is_success(),
            "{path}: {} {text}",
            answer.status
        );
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(patchbay_binary())
            .args(arguments)
            .args(["--output", "json"])
            .env_clear()
            .env("PATCHBAY_DATABASE_URL", self.database.url())
            .env(
                "PATCHBAY_URL",
                format!("http://127.0.0.1:{}", self.api_port),
            )
            .env("PATCHBAY_API_KEY", &self.key)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    pub async fn database(&self) -> DatabaseConnection {
        Database::connect(self.database.url()).await.unwrap()
    }

    /// The system's id of the process that runs the job now.
    pub async fn runner_of(&self, job: &str) -> u32 {
        let sql = format!(
            "select p.host from jobs j join processes p on p.id = j.leased_by where j.id = '{job}' and j.state = 'running'"
        );
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let row = self
            .database()
            .await
            .query_one_raw(statement)
            .await
            .unwrap()
            .expect("the job runs");
        let host: String = row.try_get("", "host").unwrap();
        host.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// That the sync ended complete: every order once, and what they come to.
    pub async fn assert_sales_complete(&self, job: &str) {
        let ended = self.json(&["jobs", "show", job]);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let source = &self.sandbox.square.summaries()[patchbay_sandbox::square::DEFAULT_MERCHANT];
        let sql = "select count(*) as all_rows, sum((data->'net'->>'amount')::bigint)::bigint as net \
                   from records where stream = 'sales' and deleted_at is null";
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let row = self
            .database()
            .await
            .query_one_raw(statement)
            .await
            .unwrap()
            .unwrap();
        let number = |name: &str| row.try_get::<i64>("", name).unwrap();
        assert_eq!(number("all_rows"), i64::try_from(source.orders).unwrap());
        assert_eq!(number("net"), source.net_total);
        // As with the catalog: an order that was seen twice would be one record more than rows.
        assert_eq!(ended["result"]["records"], number("all_rows"));
        assert_eq!(
            ended["result"]["counts"]["created"],
            number("all_rows"),
            "{ended}"
        );
    }

    /// That the sync ended complete: every object once, none invented, none missing.
    pub async fn assert_catalog_complete(&self, job: &str) {
        let ended = self.json(&["jobs", "show", job]);
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let source = &self.sandbox.square.summaries()[patchbay_sandbox::square::DEFAULT_MERCHANT];
        let sql = "select count(*) as all_rows, count(*) filter (where kind = 'item') as items, \
                   count(*) filter (where deleted_at is not null) as deleted from records where stream = 'catalog'";
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let row = self
            .database()
            .await
            .query_one_raw(statement)
            .await
            .unwrap()
            .unwrap();
        let count = |name: &str| row.try_get::<i64>("", name).unwrap();
        assert_eq!(count("items"), i64::try_from(source.items).unwrap());
        assert_eq!(count("deleted"), 0);
        // `records` counts every record that was seen: one more than the rows would be one seen twice.
        assert_eq!(ended["result"]["records"], count("all_rows"));
        assert_eq!(
            ended["result"]["counts"]["created"],
            count("all_rows"),
            "{ended}"
        );
    }
}
