//! A provider that means harm: a body without end, JSON a million levels deep, a redirect to
//! another host, an answer that never comes; and pages without end ([`endless`]). Each is
//! bounded, nobody panics, and the token goes to no other host.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Run, endless};
use crate::{
    checker::{self, Allowed},
    findings::Invariant,
    outcome::Outcome,
    stage::{Plan, Role, Stage},
};

const TOKEN: &str = "a-token-for-one-host-only";
/// What a debug worker may have taken at its fullest.
const MOST_KB: u64 = 600 * 1024;
const ENDLESS: u64 = 10 * 1024 * 1024 * 1024;
const DEPTH: usize = 1_000_000;

#[derive(Debug, Clone, Copy)]
enum Harm {
    Endless,
    Deep,
    Redirect,
    Silent,
}

pub async fn run(run: Run) -> Result<Outcome> {
    let mut outcome = Outcome::new("hostile provider");
    let harms = [Harm::Endless, Harm::Deep, Harm::Redirect, Harm::Silent];
    for harm in harms.into_iter().take(run.number(harms.len(), 3)) {
        one(run, harm, &mut outcome).await?;
        outcome.injections += 1;
    }
    endless::run(run, &mut outcome).await?;
    outcome.injections += 1;
    Ok(outcome)
}

async fn one(run: Run, harm: Harm, outcome: &mut Outcome) -> Result<()> {
    let (thief, stolen) = thief().await?;
    let sent = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, harm, thief, Arc::clone(&counted)));
        }
    });
    let name = "PATCHBAY_PROVIDERS__SQUARE__BASE_URL".to_owned();
    let plan = Plan {
        workers: 1,
        mutation: run.mutation,
        variables: vec![(Role::Worker, name, base)],
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    let body =
        json!({ "provider": "square", "config": {}, "credential": { "access_token": TOKEN } });
    let client = stage.client.clone();
    let (status, said) = client.call(Method::POST, "connections", Some(body)).await?;
    ensure!(status < 300, "connecting: {status} {said}");
    if !stage.drain(Duration::from_secs(150)).await? {
        outcome
            .findings
            .say(Invariant::Bounded, format!("{harm:?}: its job never ends"));
    }
    let (_, jobs) = client.call(Method::GET, "jobs", None).await?;
    if jobs.to_string().contains("\"succeeded\"") {
        outcome
            .findings
            .say(Invariant::Bounded, format!("{harm:?}: was believed"));
    }
    if stolen.load(Ordering::Relaxed) > 0 {
        outcome.findings.say(
            Invariant::Bounded,
            format!("{harm:?}: another host has the token"),
        );
    }
    let taken = format!("{} MB taken", sent.load(Ordering::Relaxed) / 1_000_000);
    workers_held_out(&stage, (&format!("{harm:?}"), &taken), TOKEN, outcome)?;
    let findings = checker::check(&stage, Allowed::default()).await?;
    outcome.findings.violations.extend(findings.violations);
    Ok(())
}

/// They are as small as they should be, none has panicked or told the token. `what` names the
/// harm, and says how much of it they took.
pub(super) fn workers_held_out(
    stage: &Stage,
    what: (&str, &str),
    token: &str,
    outcome: &mut Outcome,
) -> Result<()> {
    let (harm, taken) = what;
    for place in stage.places(Role::Worker) {
        let process = stage.seats[place].process.as_ref().context("it runs")?;
        let most = most_memory_kb(process.id())?;
        let megabytes = most / 1024;
        outcome.note(format!("{harm}: {taken}, worker at most {megabytes} MB"));
        let mut broken = |what: String| outcome.findings.say(Invariant::Bounded, what);
        if most > MOST_KB {
            broken(format!("{harm}: {megabytes} MB"));
        }
        let log = process.log()?;
        if log.contains("panicked") || log.contains(token) {
            broken(format!("{harm}: see the worker's log"));
        }
    }
    Ok(())
}

fn most_memory_kb(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.context("VmHWM")?.trim().trim_end_matches(" kB");
    Ok(number.trim().parse()?)
}

/// Where the redirect leads; counts who brings the token.
async fn thief() -> Result<(u16, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let stolen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&stolen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if head(&mut stream).await.contains(TOKEN) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Ok((port, stolen))
}

async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => bytes.extend_from_slice(&buffer[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn answer(mut stream: TcpStream, harm: Harm, thief: u16, sent: Arc<AtomicUsize>) {
    head(&mut stream).await;
    const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let begin = match harm {
        Harm::Endless => format!("{JSON}content-length: {ENDLESS}\r\n\r\n{{\"merchant\":\""),
        Harm::Deep => format!("{JSON}content-length: {DEPTH}\r\n\r\n"),
        Harm::Redirect => format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{thief}/\r\ncontent-length: 0\r\n\r\n"
        ),
        Harm::Silent => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            return;
        }
    };
    if stream.write_all(begin.as_bytes()).await.is_err() {
        return;
    }
    let chunk = vec![
        if matches!(harm, Harm::Deep) {
            b'['
        } else {
            b'x'
        };
        65_536
    ];
    let mut left = match harm {
        Harm::Endless => usize::try_from(ENDLESS).unwrap_or(usize::MAX),
        Harm::Deep => DEPTH,
        Harm::Redirect | Harm::Silent => 0,
    };
    while left > 0 {
        let now = left.min(chunk.len());
        if stream.write_all(&chunk[..now]).await.is_err() {
            return;
        }
        sent.fetch_add(now, Ordering::Relaxed);
        left -= now;
    }
}
