//! The peers: installed once into a cache folder, run one measurement a call. What cannot
//! be installed or run gives a row that says so.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

/// Packages and compiler included.
const INSTALL_WITHIN: Duration = Duration::from_secs(1200);
/// A peer ends by itself after `MAX_SECONDS` of measuring; queueing and emptying come on top.
const RUN_WITHIN: Duration = Duration::from_secs(400);

/// Which half of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Node,
    Rust,
}

/// One that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    BullMq,
    GraphileWorker,
    PgBoss,
    Awa,
    ApalisRedis,
}

impl Peer {
    fn part(self) -> Part {
        match self {
            Self::BullMq | Self::GraphileWorker | Self::PgBoss => Part::Node,
            Self::Awa | Self::ApalisRedis => Part::Rust,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::BullMq => "bullmq",
            Self::GraphileWorker => "graphile-worker",
            Self::PgBoss => "pg-boss",
            Self::Awa => "awa",
            Self::ApalisRedis => "apalis-redis",
        }
    }
}

/// The peers of a run.
pub struct Peers {
    cache: PathBuf,
    none: bool,
    node: tokio::sync::OnceCell<Result<(), String>>,
    rust: tokio::sync::OnceCell<Result<(), String>>,
}

impl Peers {
    pub fn new(cache: PathBuf, none: bool) -> Result<Self> {
        std::fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
        let cache = cache.canonicalize()?;
        Ok(Self {
            cache,
            none,
            node: tokio::sync::OnceCell::new(),
            rust: tokio::sync::OnceCell::new(),
        })
    }

    /// Runs a peer's case with these settings: its row, or why there is none.
    pub async fn run(
        &self,
        peer: Peer,
        case: &str,
        settings: &[(&str, String)],
    ) -> Result<Value, String> {
        self.installed(peer.part())
            .await
            .map_err(|why| format!("peer not available: {why}"))?;
        eprintln!("bench:   {} {case} {}", peer.name(), shown(settings));
        self.measure(peer, case, settings)
            .await
            .map_err(|error| format!("peer failed: {error:#}"))
    }

    async fn installed(&self, part: Part) -> Result<(), String> {
        if self.none {
            return Err("left out with --no-peers".to_owned());
        }
        let (cell, name) = match part {
            Part::Node => (&self.node, "node"),
            Part::Rust => (&self.rust, "rust"),
        };
        cell.get_or_init(|| install(&self.cache, name))
            .await
            .clone()
    }

    async fn measure(&self, peer: Peer, case: &str, settings: &[(&str, String)]) -> Result<Value> {
        let mut command = match peer.part() {
            Part::Node => {
                let mut command = bound("node");
                command.arg(self.cache.join("node").join(format!("{}.mjs", peer.name())));
                command
            }
            Part::Rust => bound(self.cache.join("rust/release").join(peer.name())),
        };
        command
            .arg(case)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.cache);
        let output = timeout(RUN_WITHIN, command.output())
            .await
            .context("it did not end in time")??;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let line = String::from_utf8(output.stdout)?;
        serde_json::from_str(line.trim()).with_context(|| format!("its row is no JSON: {line}"))
    }
}

async fn install(cache: &Path, part: &str) -> Result<(), String> {
    eprintln!("bench: installing peers ({part}; at the first run some minutes) ...");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/install.sh");
    let mut command = bound("bash");
    command.arg(script).arg(cache).arg(part);
    match timeout(INSTALL_WITHIN, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("installing took too long".to_owned()),
    }
}

/// Ended by the kernel with this process, or when nobody waits for it any more.
fn bound(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::from(crate::servers::bound(program, "KILL"));
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn shown(settings: &[(&str, String)]) -> String {
    let settings = settings.iter().filter(|(name, _)| !name.ends_with("_URL"));
    settings
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A field of a peer's row.
pub fn number(row: &Value, field: &str) -> f64 {
    row.get(field).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// A field of a peer's row, as text.
pub fn text(row: &Value, field: &str) -> String {
    row.get(field)
        .and_then(Value::as_str)
        .unwrap_or("-")
        .to_owned()
}

/// Name and version.
pub fn title(row: &Value) -> String {
    format!("{} {}", text(row, "peer"), text(row, "version"))
}
