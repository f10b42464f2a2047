//! The whole product in one process: how soon it is ready, what it needs when idle.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    Bench,
    measure::{Memory, cpu_seconds, median},
    servers::{bound, free_port},
    table::{Budget, Report, figure},
};

const READY_WITHIN: Duration = Duration::from_secs(30);
/// Until what the start needed has settled.
const IDLE_FOR: Duration = Duration::from_secs(10);
const BINARY: &str = "target/release/patchbay";

pub async fn run(bench: &Bench) -> Result<Report> {
    let rounds = bench.number(5, 2);
    eprintln!("bench:   building the release binary ...");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--package", "patchbay"])
        .status()?;
    ensure!(
        built.success(),
        "`cargo build --release --package patchbay` failed"
    );

    let mut report = Report::new(
        "up",
        format!("`patchbay up` on SQLite, {rounds} rounds, medians"),
        &["start", "ready s", "idle MB", "peak MB", "idle CPU %"],
    );
    report.method = format!(
        "From the start of the process to the first 200 of `GET /readyz`, asked every 2 ms; resident memory after \
         {} s without a request.",
        IDLE_FOR.as_secs()
    );
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-bench-up-")
            .tempdir()?;
        first.push(start(folder.path()).await?.1);
        again.push(start(folder.path()).await?.1);
    }
    let folder = tempfile::Builder::new()
        .prefix("patchbay-bench-up-")
        .tempdir()?;
    let (up, _) = start(folder.path()).await?;
    let cpu = cpu_seconds(up.0.id());
    tokio::time::sleep(IDLE_FOR).await;
    let cpu = 100.0 * (cpu_seconds(up.0.id()) - cpu) / IDLE_FOR.as_secs_f64();
    let memory = Memory::of(up.0.id());
    let (first, again) = (median(&first), median(&again));
    let megabytes =
        |pick: fn(Memory) -> f64| memory.map_or("-".to_owned(), |memory| figure(pick(memory)));
    report.row(
        "empty folder",
        vec![
            figure(first),
            megabytes(|memory| memory.now_mb),
            megabytes(|memory| memory.peak_mb),
            figure(cpu),
        ],
        json!({ "ready_s": first, "memory": memory.map(Memory::json), "idle_cpu_percent": cpu }),
    );
    report.row("again", vec![figure(again)], json!({ "ready_s": again }));
    report.budget(Budget {
        what: "ready, empty folder".to_owned(),
        got: Some(first),
        floor: Some(1.0),
        aim: 0.3,
        unit: " s",
        at_most: true,
    });
    report.budget(Budget {
        what: "idle resident memory".to_owned(),
        got: memory.map(|memory| memory.now_mb),
        floor: Some(60.0),
        aim: 30.0,
        unit: " MB",
        at_most: true,
    });
    Ok(report)
}

/// A running product; killed when dropped.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // An error says that it has ended already, which is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Seconds until it was ready.
async fn start(folder: &Path) -> Result<(Up, f64)> {
    let port = free_port()?;
    let log = std::fs::File::create(folder.join("bench.log"))?;
    let started = Instant::now();
    let mut command = bound(std::path::absolute(BINARY)?, "KILL");
    command
        .args(["up", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(folder.join("data"))
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut up = Up(command.spawn()?);
    while !is_ready(port) {
        let ended = up.0.try_wait()?;
        let log = || std::fs::read_to_string(folder.join("bench.log")).unwrap_or_default();
        ensure!(ended.is_none(), "it ended: {}", log());
        ensure!(
            started.elapsed() < READY_WITHIN,
            "it is not ready: {}",
            log()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok((up, started.elapsed().as_secs_f64()))
}

/// By hand: a client's own start would be in the figure.
fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
