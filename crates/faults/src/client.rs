//! A client as the product's callers write it: every request carries an `Idempotency-Key`,
//! and one that got no answer is sent again, to another API process, until it has one. What
//! was acknowledged is written down: the checker asks what became of it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// How a job is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Succeeded,
    /// After so many attempts.
    Failed(i32),
    Quarantined,
}

/// A job to ask for.
#[derive(Debug, Clone, Serialize)]
pub struct Drill {
    pub args: Value,
    pub delay_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    #[serde(skip)]
    pub end: End,
    #[serde(skip)]
    pub steps: i64,
}

impl Drill {
    /// So many steps; with an address, each with a call abroad.
    pub fn new(steps: i64, pause: Duration, abroad: Option<String>) -> Self {
        let mut drill = json!({ "steps": steps, "pause_ms": pause.as_millis() as u64 });
        if let Some(abroad) = abroad {
            drill["abroad"] = abroad.into();
        }
        Self {
            args: json!({ "drill": drill }),
            delay_ms: 0,
            lane: None,
            dedupe_key: None,
            max_attempts: None,
            timeout_s: None,
            end: End::Succeeded,
            steps,
        }
    }

    /// With one more argument.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.args["drill"][name] = value.into();
        self
    }
}

/// An acknowledged request for a job.
#[derive(Debug, Clone)]
pub struct Ack {
    pub job: Uuid,
    pub end: End,
    pub steps: i64,
    pub key: Option<String>,
    /// The request's `Idempotency-Key`, and which job of it this is.
    pub request: (String, usize),
    /// `new`, `waiting` or `again`; a repeat of a request does not say.
    pub outcome: Option<String>,
    pub asked: Instant,
    pub acknowledged: Instant,
    pub not_before: Instant,
}

/// What the client has seen.
#[derive(Debug, Default, Clone)]
pub struct Log {
    pub acks: Vec<Ack>,
    /// Answers that were a refusal of the server's own making (5xx).
    pub refused: Vec<(Instant, u16)>,
    /// Requests without an answer.
    pub unanswered: usize,
    /// Requests that were given up: whether they were done, nobody was told.
    pub given_up: usize,
    /// When each request was made for the first time, by its key.
    first: HashMap<String, Instant>,
}

/// The client. Clones share its log.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    apis: Arc<Vec<u16>>,
    key: String,
    turn: Arc<AtomicUsize>,
    balanced: bool,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    jobs: Vec<Uuid>,
    #[serde(default)]
    outcomes: Vec<String>,
}

impl Client {
    /// A client of these ports.
    ///
    /// # Errors
    /// The system has no trust anchors.
    #[expect(
        clippy::disallowed_methods,
        reason = "a caller of the API, not traffic of the product"
    )]
    pub fn new(apis: Vec<u16>, key: String) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(35))
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            apis: Arc::new(apis),
            key,
            turn: Arc::default(),
            balanced: false,
            log: Arc::default(),
        })
    }

    /// Behind a balancer, as two APIs are: it asks only a process that says it is ready.
    #[must_use]
    pub fn balanced(self) -> Self {
        Self {
            balanced: true,
            ..self
        }
    }

    async fn is_ready(&self, api: usize) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.apis[api]);
        let asked = self.http.get(url).timeout(Duration::from_secs(2)).send();
        asked.await.is_ok_and(|answer| answer.status().is_success())
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for these jobs until they are acknowledged, at one API after the other.
    ///
    /// # Errors
    /// Not within that time.
    pub async fn enqueue(&self, drills: &[Drill], within: Duration) -> Result<Vec<Uuid>> {
        let (key, give_up) = (Uuid::now_v7().to_string(), Instant::now() + within);
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let api = turn % self.apis.len();
            if (!self.balanced || self.is_ready(api).await)
                && let Some(jobs) = self.ask(api, &key, drills).await?
            {
                return Ok(jobs);
            }
            if Instant::now() > give_up {
                self.log().given_up += 1;
                bail!("a request was not acknowledged within {within:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks one API once. `None`: no acknowledgement came.
    ///
    /// # Errors
    /// It refuses the request as wrong.
    pub async fn ask(&self, api: usize, key: &str, drills: &[Drill]) -> Result<Option<Vec<Uuid>>> {
        let asked = *self
            .log()
            .first
            .entry(key.to_owned())
            .or_insert_with(Instant::now);
        let url = format!(
            "http://127.0.0.1:{}/api/integrations/drills",
            self.apis[api]
        );
        let request = self
            .http
            .post(url)
            .timeout(Duration::from_secs(10))
            .bearer_auth(&self.key)
            .header("Idempotency-Key", key)
            .json(&json!({ "jobs": drills }));
        let Ok(response) = request.send().await else {
            self.log().unanswered += 1;
            return Ok(None);
        };
        let status = response.status();
        if status.is_server_error() {
            let refused = (Instant::now(), status.as_u16());
            self.log().refused.push(refused);
            return Ok(None);
        }
        let Ok(body) = response.text().await else {
            self.log().unanswered += 1;
            return Ok(None);
        };
        if !status.is_success() {
            bail!("the API answered {status}: {body}");
        }
        let answer: Answer = serde_json::from_str(&body).context("the API's answer")?;
        let acknowledged = Instant::now();
        let mut log = self.log();
        for (place, (job, drill)) in answer.jobs.iter().zip(drills).enumerate() {
            log.acks.push(Ack {
                job: *job,
                end: drill.end,
                steps: drill.steps,
                key: drill.dedupe_key.clone(),
                request: (key.to_owned(), place),
                outcome: answer.outcomes.get(place).cloned(),
                asked,
                acknowledged,
                not_before: asked + Duration::from_millis(drill.delay_ms),
            });
        }
        Ok(Some(answer.jobs))
    }

    /// Any other request of the API; the answer's status and JSON.
    ///
    /// # Errors
    /// No answer.
    pub async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value)> {
        let url = format!("http://127.0.0.1:{}/api/integrations/{path}", self.apis[0]);
        self.send(method, url, body).await
    }

    /// A request of any server; the answer's status and JSON.
    ///
    /// # Errors
    /// No answer.
    pub async fn send(
        &self,
        method: reqwest::Method,
        url: String,
        body: Option<Value>,
    ) -> Result<(u16, Value)> {
        let mut request = self.http.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = response.text().await?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Value::Null)))
    }
}
