//! A provider that fails three requests of ten (429, 5xx, reset, slow, cut short), refuses its
//! token for a while, and changes what it holds meanwhile; workers are killed in between. When
//! it is well again, the records must be those of an account that was pulled in peace.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use patchbay_tests::{Process, free_port};
use reqwest::Method;
use serde_json::{Value, json};

use super::Run;
use crate::{
    checker::{self, Allowed},
    client::Client,
    findings::Invariant,
    outcome::Outcome,
    stage::{Plan, Role, Stage},
    witness,
};

pub(super) const TOKEN: &str = "a-token-of-the-stand-in";
const STREAMS: [&str; 4] = ["catalog", "sales", "customers", "inventory"];

/// The stand-in, running, and a plan whose workers use it.
pub(super) fn stand_in(run: Run) -> Result<((Process, u16), Plan)> {
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}/square");
    let (address, items) = (port.to_string(), run.number(5_000, 300).to_string());
    let arguments = [
        "sandbox",
        "--port",
        &address,
        "--token",
        TOKEN,
        "--items",
        &items,
        "--orders",
        "3000",
        "--customers",
        "1500",
        "--seed",
        "7",
    ];
    let process = Process::start(&crate::binary()?, &arguments, &[])?;
    let name = "PATCHBAY_PROVIDERS__SQUARE__BASE_URL".to_owned();
    let plan = Plan {
        mutation: run.mutation,
        variables: vec![(Role::Worker, name, base)],
        ..Plan::default()
    };
    Ok(((process, port), plan))
}

pub async fn run(run: Run) -> Result<Outcome> {
    let ((_provider, port), plan) = stand_in(run)?;
    let mut stage = Stage::open(plan).await?;
    let control = Control::new(&stage, port);
    let peaceful = stage.another_org("Peaceful").await?;
    let client = stage.client.clone();
    let hurt = connect(&mut stage, &client).await?;
    let clean = connect(&mut stage, &peaceful).await?;
    sync(&mut stage, &client, &hurt, "full").await?;

    let mut outcome = Outcome::new("provider fails 3 of 10");
    let effects = [
        json!({ "rate_limited": { "retry_after": 1 } }),
        json!({ "server_error": { "status": 503 } }),
        json!({ "drop_connection": { "after_bytes": 400 } }),
        json!({ "slow_body": { "chunk_bytes": 2_000, "pause_ms": 20 } }),
        json!({ "truncated_body": null }),
    ];
    for effect in effects {
        let effect = match effect.get("truncated_body") {
            Some(_) => json!("truncated_body"),
            None => effect,
        };
        control
            .post("faults", json!({ "effect": effect, "probability": 0.07 }))
            .await?;
    }
    let workers = stage.places(Role::Worker);
    for round in 0..run.number(8, 2) {
        control
            .post("square/advance", json!({ "changes": 30 }))
            .await?;
        let mode = if round % 3 == 2 {
            "full"
        } else {
            "incremental"
        };
        ask(&client, &hurt, mode).await?;
        stage.run_for(Duration::from_millis(300)).await?;
        stage.kill(workers[round % workers.len()])?;
        // Each has four attempts; one that is given up is asked for again by the next round.
        stage.drain(Duration::from_secs(120)).await?;
        outcome.injections += 1;
    }
    let struck = control.get("faults").await?;
    let strikes: u64 = struck
        .as_array()
        .map(|all| all.iter().filter_map(|one| one["struck"].as_u64()).sum())
        .unwrap_or(0);
    outcome.note(format!("{strikes} requests spoilt"));
    control.clear_faults().await?;

    outcome.injections += 1;
    if !refuse_token(&mut stage, &control, &client, &hurt).await? {
        let what = "jobs stay parked although the connection works again";
        outcome.findings.say(Invariant::Lost, what);
        return Ok(outcome);
    }

    sync(&mut stage, &client, &hurt, "full").await?;
    sync(&mut stage, &peaceful, &clean, "full").await?;
    outcome.findings = checker::check(&stage, Allowed::default()).await?;
    compare(&stage, &control, (&hurt, &clean), &mut outcome).await?;
    Ok(outcome)
}

/// While the token is refused, work is parked; a test that passes lets it go on.
async fn refuse_token(
    stage: &mut Stage,
    control: &Control,
    client: &Client,
    connection: &str,
) -> Result<bool> {
    control
        .post("faults", json!({ "effect": "revoked_token" }))
        .await?;
    ask(client, connection, "incremental").await?;
    let parked = "select count(*) from jobs where state in ('queued', 'running')";
    stage
        .until("parked jobs", Duration::from_secs(60), async |stage| {
            Ok(witness::number(&stage.database, parked).await? == 0)
        })
        .await?;
    control.clear_faults().await?;
    let path = format!("connections/{connection}/test?wait=30");
    let (status, answer) = client.call(Method::POST, &path, None).await?;
    ensure!(
        status == 200,
        "the test of the connection: {status} {answer}"
    );
    stage.drain(Duration::from_secs(30)).await
}

pub(super) async fn connect(stage: &mut Stage, client: &Client) -> Result<String> {
    let body =
        json!({ "provider": "square", "config": {}, "credential": { "access_token": TOKEN } });
    let path = "connections?wait=30";
    let (status, answer) = client.call(Method::POST, path, Some(body)).await?;
    ensure!(status < 300, "connecting: {status} {answer}");
    stage.drain(Duration::from_secs(30)).await?;
    let id = answer["id"]
        .as_str()
        .or(answer["connection"]["id"].as_str());
    Ok(id.with_context(|| format!("no id in {answer}"))?.to_owned())
}

/// Asks for a sync of every stream.
async fn ask(client: &Client, connection: &str, mode: &str) -> Result<Vec<String>> {
    let path = format!("connections/{connection}/sync");
    let body = json!({ "streams": STREAMS, "mode": mode });
    let (status, answer) = client.call(Method::POST, &path, Some(body)).await?;
    ensure!(status == 202, "asking for a sync: {status} {answer}");
    let jobs = answer["jobs"].as_array().context("jobs")?;
    Ok(jobs
        .iter()
        .filter_map(|job| Some(job["id"].as_str()?.to_owned()))
        .collect())
}

/// The same, until every one has succeeded.
async fn sync(stage: &mut Stage, client: &Client, connection: &str, mode: &str) -> Result<()> {
    for job in ask(client, connection, mode).await? {
        stage.drain(Duration::from_secs(120)).await?;
        let (_, shown) = client
            .call(Method::GET, &format!("jobs/{job}"), None)
            .await?;
        ensure!(shown["state"] == "succeeded", "a sync in peace: {shown}");
    }
    Ok(())
}

async fn compare(
    stage: &Stage,
    control: &Control,
    (hurt, clean): (&str, &str),
    outcome: &mut Outcome,
) -> Result<()> {
    let living = |connection: &str| {
        format!(
            "select stream, external_id, kind, data from records
             where connection_id = '{connection}' and deleted_at is null"
        )
    };
    for (one, other) in [(hurt, clean), (clean, hurt)] {
        let sql = format!(
            "select count(*) from (({}) except ({})) differing",
            living(one),
            living(other)
        );
        let differing = witness::number(&stage.database, &sql).await?;
        if differing > 0 {
            let what = format!("{differing} records of {one} are not in {other}");
            outcome.findings.say(Invariant::Records, what);
        }
    }
    let summaries = control.get("square").await?;
    let summary = summaries.as_object().and_then(|all| all.values().next());
    let summary = summary.context("a merchant")?;
    for (kind, name) in [("item", "items"), ("customer", "customers")] {
        let sql = format!(
            "select count(*) from ({}) l where kind = '{kind}'",
            living(hurt)
        );
        let stored = witness::number(&stage.database, &sql).await?;
        outcome.note(format!("{stored} of kind {kind}"));
        if summary[name].as_i64() != Some(stored) {
            let what = format!("{stored} of kind {kind}, the source has {summary}");
            outcome.findings.say(Invariant::Records, what);
        }
    }
    // Every time in a cursor, beside the one that it replaced.
    let back = "
        select count(*) from drill_cursors c
        cross join lateral jsonb_each_text(c.was) was
        join lateral jsonb_each_text(c.is_now) is_now on is_now.key = was.key
        where was.value ~ '^20[0-9]{2}-' and is_now.value::timestamptz < was.value::timestamptz";
    let back = witness::number(&stage.database, back).await?;
    if back > 0 {
        outcome
            .findings
            .say(Invariant::WentBack, format!("{back} cursors"));
    }
    let moved = witness::number(&stage.database, "select count(*) from drill_cursors").await?;
    outcome.note(format!("cursors moved {moved} times"));
    ensure!(moved > 0, "no cursor ever moved");
    Ok(())
}

/// The stand-in's switches.
pub(super) struct Control {
    client: Client,
    port: u16,
}

impl Control {
    pub(super) fn new(stage: &Stage, port: u16) -> Self {
        let client = stage.client.clone();
        Self { client, port }
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<()> {
        let (status, said) = self.send(Method::POST, path, Some(body)).await?;
        ensure!(status < 300, "the stand-in: {status} {said}");
        Ok(())
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.send(Method::GET, path, None).await?.1)
    }

    async fn clear_faults(&self) -> Result<()> {
        self.send(Method::DELETE, "faults", None).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
        let url = format!("http://127.0.0.1:{}/_control/{path}", self.port);
        self.client.send(method, url, body).await
    }
}
