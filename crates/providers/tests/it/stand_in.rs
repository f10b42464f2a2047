//! A running stand-in, sessions at it, and whole runs of a stream.

use std::{sync::Arc, time::Duration};

use patchbay_core::{
    clock::{Clock, SystemClock},
    outbound::{AddressPolicy, Outbound, OutboundConfig},
    secret::{Secret, SecretFields},
};
use patchbay_providers::{
    Backoff, Provider, ProviderError, Pull, PullMode, PulledRecord, Registry, Session,
};
use patchbay_sandbox::{Dataset, RunningSandbox, Sandbox, SandboxOptions, Sizes, square};
use serde_json::{Value, json};

/// Square's stand-in with a registry that leads there.
pub struct StandIn {
    pub sandbox: RunningSandbox,
    pub registry: Registry,
    outbound: Arc<Outbound>,
}

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
        let sandbox = Sandbox::start(SandboxOptions::with(dataset))
            .await
            .expect("a free port");
        let root = sandbox.square_url().parse().expect("an address");
        let registry = Registry::builtin()
            .with_base_url("square", root)
            .expect("square is there");
        let allow = vec!["127.0.0.0/8".parse().expect("a subnet")];
        let config = OutboundConfig {
            policy: AddressPolicy { allow },
            ..OutboundConfig::default()
        };
        Self {
            sandbox,
            registry,
            outbound: Arc::new(Outbound::new(config).expect("a client")),
        }
    }

    pub fn provider(&self) -> &dyn Provider {
        &**self.registry.get("square").expect("square is there")
    }

    pub fn session(&self) -> Session {
        self.session_with(square::DEFAULT_TOKEN, json!({}))
    }

    /// A session with this token and config. Its waits are short: they are real time.
    pub fn session_with(&self, token: &str, config: Value) -> Session {
        let secret = SecretFields([("access_token".to_owned(), Secret::new(token))].into());
        let outbound = Arc::clone(&self.outbound);
        let mut session = self.registry.open(
            self.provider(),
            outbound,
            Arc::new(SystemClock),
            config,
            secret,
            None,
        );
        session.backoff = Backoff {
            first: Duration::from_millis(1),
            ..Backoff::default()
        };
        session
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
