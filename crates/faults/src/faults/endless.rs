//! A provider whose pages never end: its last page comes again and again, each time with a
//! cursor that was never seen before, so that only the page itself gives the circle away.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;

use super::{Run, hostile, provider};
use crate::{
    checker::{self, Allowed},
    findings::Invariant,
    outcome::Outcome,
    stage::{Plan, Stage},
};

/// Requests for pages, all attempts together. The catalog has four pages or so; a circle shows
/// within twice the pages before it, in each of four attempts at most.
const MOST_REQUESTS: u64 = 100;

pub(super) async fn run(run: Run, outcome: &mut Outcome) -> Result<()> {
    const HARM: &str = "Pages";
    let small = Run { short: true, ..run };
    let ((_provider, port), plan) = provider::stand_in(small)?;
    let plan = Plan { workers: 1, ..plan };
    let mut stage = Stage::open(plan).await?;
    let control = provider::Control::new(&stage, port);
    let client = stage.client.clone();
    let connection = provider::connect(&mut stage, &client).await?;
    let fault =
        json!({ "endpoint": "*catalog/list*", "effect": { "endless_cursor": { "fresh": true } } });
    control.post("faults", fault).await?;
    let path = format!("connections/{connection}/sync");
    let body = json!({ "streams": ["catalog"], "mode": "full" });
    let (status, answer) = client.call(Method::POST, &path, Some(body)).await?;
    ensure!(status == 202, "asking for a sync: {status} {answer}");
    let job = answer["jobs"][0]["id"].as_str().context("a job")?;

    // Its retries, with the pauses between them.
    stage.drain(Duration::from_secs(150)).await?;
    let (_, shown) = client
        .call(Method::GET, &format!("jobs/{job}"), None)
        .await?;
    let struck = control.get("faults").await?;
    let requests = struck[0]["struck"].as_u64().context("a fault that is on")?;
    let mut broken = |what: String| outcome.findings.say(Invariant::Bounded, what);
    if shown["state"] != "failed" || shown["error"]["kind"] != "protocol" {
        broken(format!(
            "{HARM}: not failed as a fault of the protocol: {shown}"
        ));
    }
    if requests == 0 || requests > MOST_REQUESTS {
        broken(format!("{HARM}: asked for {requests} times"));
    }
    let taken = format!("{requests} pages in {} attempts", shown["attempt"]);
    hostile::workers_held_out(&stage, (HARM, &taken), provider::TOKEN, outcome)?;
    let findings = checker::check(&stage, Allowed::default()).await?;
    outcome.findings.violations.extend(findings.violations);
    Ok(())
}
