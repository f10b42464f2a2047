//! The PostgreSQL and the Redis that all tests of a run share.
//!
//! The runner gives every test a process of its own, so nobody in a test can own them. The
//! runner's setup script (`test-servers`, see `.config/nextest.toml`) starts a keeper process that
//! owns both servers, watches the runner and ends with it, however it ends. The addresses reach
//! the tests in two environment variables. Without them (a test binary started by hand) the test
//! process starts a keeper that watches itself.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    fresh_redis::DATABASES,
    postgres_server::PostgresServer,
    redis_server::RedisServer,
    spawn::{spawn_logged, tail},
};

const POSTGRES_VARIABLE: &str = "PATCHBAY_TEST_PG_URL";
const REDIS_VARIABLE: &str = "PATCHBAY_TEST_REDIS_URL";
/// A cold first start of PostgreSQL on a busy machine, with room.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How soon servers follow their runner.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Addresses of the run's servers.
#[derive(Debug)]
pub struct SharedServers {
    /// The administrative database of the run's PostgreSQL; tests copy the template beside it.
    pub postgres_url: String,
    /// Database 0 of the run's Redis, which hands out the numbers of the others.
    pub redis_url: String,
}

impl SharedServers {
    /// As lines of an environment file.
    #[must_use]
    pub fn to_environment(&self) -> String {
        let Self {
            postgres_url,
            redis_url,
        } = self;
        format!("{POSTGRES_VARIABLE}={postgres_url}\n{REDIS_VARIABLE}={redis_url}\n")
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Some(Self {
            postgres_url: lookup(POSTGRES_VARIABLE)?,
            redis_url: lookup(REDIS_VARIABLE)?,
        })
    }
}

/// The run's servers; started for this process alone if no runner did.
pub(crate) fn shared() -> &'static SharedServers {
    static SERVERS: OnceLock<SharedServers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the runner hands the addresses over here"
        )]
        let given = SharedServers::from_lookup(|name| std::env::var(name).ok());
        given.unwrap_or_else(|| {
            keeper_binary()
                .and_then(|keeper| launch(&keeper, std::process::id()))
                .expect("PostgreSQL and Redis start for this test process")
        })
    })
}

/// Starts the keeper and waits until its servers answer. They run as long as process `owner`.
///
/// # Errors
/// When they do not come up; the message carries the keeper's log.
pub fn launch(keeper: &Path, owner: u32) -> Result<SharedServers> {
    let folder = tempfile::Builder::new()
        .prefix("patchbay-test-servers-")
        .tempdir()?;
    let (ready, log) = (folder.path().join("ready"), folder.path().join("log"));
    let mut command = Command::new(keeper);
    command.arg("keep").arg(owner.to_string()).arg(&ready);
    // Its own group: the interrupt key reaches the runner's children, and the keeper must live
    // to clean up after them.
    command.process_group(0).stdin(Stdio::null());
    let mut child = spawn_logged(&mut command, &log)?;
    let give_up = Instant::now() + START_WITHIN;
    loop {
        if let Ok(text) = fs::read_to_string(&ready) {
            return parse(&text).context("the keeper's ready file is complete");
        }
        if let Some(status) = child.try_wait()? {
            bail!("the test servers did not start ({status}):\n{}", tail(&log));
        }
        if Instant::now() > give_up {
            child.kill()?;
            bail!(
                "the test servers did not start within {START_WITHIN:?}:\n{}",
                tail(&log)
            );
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "waits for a process, outside any runtime"
        )]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The keeper: starts both servers, says so in the file `ready`, and stays while `owner` lives.
///
/// # Errors
/// When a server does not start.
pub async fn serve(owner: u32, ready: &Path) -> Result<()> {
    let (postgres, redis) = tokio::try_join!(
        PostgresServer::start(),
        RedisServer::start_with_databases(DATABASES)
    )?;
    let servers = SharedServers {
        postgres_url: postgres.url("postgres"),
        redis_url: redis.url(),
    };
    let draft = ready.with_extension("draft");
    fs::write(&draft, servers.to_environment())?;
    fs::rename(&draft, ready).context("a reader sees the whole file or none")?;
    while is_alive(owner) {
        tokio::time::sleep(WATCH_EVERY).await;
    }
    Ok(())
}

fn parse(environment: &str) -> Option<SharedServers> {
    SharedServers::from_lookup(|name| {
        let line = environment
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(str::to_owned)
    })
}

/// Whether the process runs: a zombie that nobody collected does not.
fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The state is the first field after the name, which stands in parentheses.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// `target/<profile>/test-servers`, which cargo builds together with the test binaries.
fn keeper_binary() -> Result<PathBuf> {
    let keeper = crate::process::profile_folder()?.join("test-servers");
    if !keeper.exists() {
        bail!(
            "{} is not built: run `cargo build -p patchbay-tests`",
            keeper.display()
        );
    }
    Ok(keeper)
}
