//! PostgreSQL and Redis of the benchmark's own: on free ports, with data that goes when it
//! ends, and with the settings of a production server where they decide a figure.

use std::{
    io::Read as _,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{self, Pid},
};
use patchbay_core::store::connect::{ConnectOptions, connect};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;

/// PostgreSQL refuses to run as root.
const SERVER_USER: &str = "postgres";
const SUPERUSER: &str = "patchbay";
const UP_WITHIN: Duration = Duration::from_secs(30);

/// Every commit is on disk when it is answered, as in production; the rest are defaults.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=256MB",
    "log_min_messages=warning",
];

/// A running server; killed, with its data, when dropped.
struct Server {
    folder: TempDir,
    port: u16,
    child: Child,
    signal: Signal,
}

impl Server {
    fn answer_within<T>(&mut self, name: &str, mut ask: impl FnMut(u16) -> Option<T>) -> Result<T> {
        let give_up = Instant::now() + UP_WITHIN;
        loop {
            if let Some(answer) = ask(self.port) {
                return Ok(answer);
            }
            let log =
                || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if let Some(status) = self.child.try_wait()? {
                bail!("{name} ended with {status}: {}", log());
            }
            if Instant::now() > give_up {
                bail!("{name} does not answer: {}", log());
            }
            pause();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing else happens while a server starts"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(30));
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("process ids fit 31 bits"));
        // An error says that it has ended already, which is what is wanted.
        kill(pid, self.signal).ok();
        self.child.wait().ok();
    }
}

/// PostgreSQL.
pub struct Postgres(Server);

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same, counting the time of every statement, which costs a little of it.
    pub fn start_counting() -> Result<Self> {
        Self::start_with(&[
            "shared_preload_libraries=pg_stat_statements",
            "pg_stat_statements.track_planning=on",
        ])
    }

    /// The same, noting the moment of every commit.
    pub fn start_dating_commits(counting: bool) -> Result<Self> {
        let counted = ["shared_preload_libraries=pg_stat_statements"];
        let counted = if counting { &counted[..] } else { &[] };
        Self::start_with(&[counted, &["track_commit_timestamp=on"]].concat())
    }

    fn start_with(more: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-bench-postgres-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()?;
        if unistd::geteuid().is_root() {
            let account = unistd::User::from_name(SERVER_USER)?
                .context("there is no user postgres, and PostgreSQL refuses to run as root: run scripts/setup")?;
            chown(
                folder.path(),
                Some(account.uid.as_raw()),
                Some(account.gid.as_raw()),
            )?;
        }
        let data = folder.path().join("data");
        let made = as_server_user(&program("initdb")?, "KILL")
            .args([
                "--username",
                SUPERUSER,
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
            ])
            .args(["--no-instructions", "--pgdata"])
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .context("running initdb")?;
        if !made.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        let port = free_port()?;
        let mut command = as_server_user(&program("postgres")?, "QUIT");
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in SETTINGS.iter().chain(more) {
            command.args(["-c", *setting]);
        }
        let child = spawn(&mut command, folder.path())?;
        // SIGQUIT takes the backends along at once.
        let mut server = Server {
            folder,
            port,
            child,
            signal: Signal::SIGQUIT,
        };
        server.answer_within("PostgreSQL", |port| {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })?;
        Ok(Self(server))
    }

    /// An empty database of this name.
    pub async fn empty(&self, name: &str) -> Result<String> {
        let admin = self.admin().await?;
        admin
            .execute_unprepared(&format!("drop database if exists {name} with (force)"))
            .await?;
        admin
            .execute_unprepared(&format!("create database {name}"))
            .await?;
        // What the last row left to write is not this row's work.
        admin.execute_unprepared("checkpoint").await?;
        admin.close().await?;
        Ok(self.url(name))
    }

    /// The server's main process.
    pub fn pid(&self) -> u32 {
        self.0.child.id()
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}@127.0.0.1:{}/{database}",
            self.0.port
        )
    }

    async fn admin(&self) -> Result<DatabaseConnection> {
        let give_up = Instant::now() + UP_WITHIN;
        loop {
            let options = ConnectOptions {
                max_connections: 1,
                application_name: "patchbay-bench".to_owned(),
            };
            match connect(&self.url("postgres"), options).await {
                Ok(connection) => return Ok(connection),
                // It listens a moment before it takes connections.
                Err(_) if Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// How Redis writes its append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    Everysec,
    Always,
}

impl Fsync {
    pub fn name(self) -> &'static str {
        match self {
            Self::Everysec => "everysec",
            Self::Always => "always",
        }
    }
}

/// Redis with an append-only file.
pub struct Redis(Server);

impl Redis {
    /// Starts an empty one.
    pub fn start(fsync: Fsync) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-bench-redis-")
            .tempdir()?;
        let port = free_port()?;
        let mut command = bound("redis-server", "KILL");
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--daemonize",
                "no",
            ])
            .args(["--appendonly", "yes", "--appendfsync", fsync.name()])
            .current_dir(folder.path());
        let child = spawn(&mut command, folder.path())?;
        let mut server = Server {
            folder,
            port,
            child,
            signal: Signal::SIGKILL,
        };
        server.answer_within("Redis", |port| {
            let mut connection = open(port).ok()?;
            redis::cmd("PING").exec(&mut connection).ok()
        })?;
        Ok(Self(server))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.0.port)
    }

    /// Removes everything.
    pub fn flush(&self) -> Result<()> {
        Ok(redis::cmd("FLUSHALL").exec(&mut open(self.0.port)?)?)
    }

    /// What it has spent so far.
    pub fn time(&self) -> Result<RedisTime> {
        let mut connection = open(self.0.port)?;
        let mut info = |section: &str| -> Result<String> {
            Ok(redis::cmd("INFO").arg(section).query(&mut connection)?)
        };
        Ok(RedisTime::read(&info("commandstats")?, &info("cpu")?))
    }
}

/// Redis time spent so far, in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct RedisTime {
    /// Commands that clients send. A script's time holds the commands it calls, which are
    /// listed once more under their own names: those do not count twice.
    pub commands: f64,
    /// Processor time of the main thread: with parsing, replies and the append-only file.
    pub cpu: f64,
}

impl RedisTime {
    /// Commands that only clients send here; the lists' own are called by scripts.
    const SENT: [&str; 8] = [
        "eval", "evalsha", "fcall", "blpop", "publish", "ping", "script", "bzpopmin",
    ];

    fn read(commands: &str, cpu: &str) -> Self {
        let spent = |line: &str| -> Option<f64> {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let name = name.split('|').next()?;
            let usec = rest
                .split(',')
                .find_map(|field| field.strip_prefix("usec="))?;
            Self::SENT.contains(&name).then(|| usec.parse().ok())?
        };
        let seconds = |line: &str| -> Option<f64> {
            let (name, seconds) = line.trim().split_once(':')?;
            ["used_cpu_user_main_thread", "used_cpu_sys_main_thread"]
                .contains(&name)
                .then(|| seconds.parse().ok())?
        };
        Self {
            commands: commands.lines().filter_map(spent).sum(),
            cpu: cpu.lines().filter_map(seconds).sum::<f64>() * 1e6,
        }
    }

    /// Microseconds since then, for each of so many jobs: of commands, of the processor.
    pub fn per_job_since(self, before: Self, jobs: usize) -> (f64, f64) {
        (
            (self.commands - before.commands) / jobs as f64,
            (self.cpu - before.cpu) / jobs as f64,
        )
    }
}

fn open(port: u16) -> Result<redis::Connection> {
    let patience = Duration::from_secs(60);
    let connection = redis::Client::open(format!("redis://127.0.0.1:{port}/0"))?
        .get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    Ok(connection)
}

/// A free port of the loopback address.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A command whose process the kernel ends when the thread that started it ends.
pub fn bound(program: impl AsRef<std::ffi::OsStr>, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command.process_group(0).stdin(Stdio::null());
    command
}

fn as_server_user(program: &Path, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    if unistd::geteuid().is_root() {
        command.args([
            "--reuid",
            SERVER_USER,
            "--regid",
            SERVER_USER,
            "--init-groups",
        ]);
    }
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command.process_group(0).stdin(Stdio::null());
    command
}

/// Starts the command in the folder, with what it prints in the folder's `log`.
fn spawn(command: &mut Command, folder: &Path) -> Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    let program = command.get_program().to_owned();
    command
        .current_dir(folder)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

/// A server program of the newest PostgreSQL: where Debian puts it, or on the path.
fn program(name: &str) -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path().join("bin").join(name);
            path.exists().then_some((version, path))
        })
        .max();
    if let Some((_, path)) = newest {
        return Ok(path);
    }
    let mut found = String::new();
    let mut which = Command::new("which")
        .arg(name)
        .stdout(Stdio::piped())
        .spawn()?;
    which
        .stdout
        .take()
        .context("a piped output")?
        .read_to_string(&mut found)?;
    anyhow::ensure!(
        which.wait()?.success(),
        "PostgreSQL's `{name}` is not installed: run scripts/setup"
    );
    Ok(PathBuf::from(found.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_a_script_calls_do_not_count_twice() {
        let commands = "# Commandstats\r\ncmdstat_evalsha:calls=2,usec=300,usec_per_call=150\r\n\
                        cmdstat_lpop:calls=9,usec=200,usec_per_call=22\r\ncmdstat_script|load:calls=1,usec=7,usec_per_call=7";
        let cpu = "used_cpu_sys_main_thread:0.000100\r\nused_cpu_user_main_thread:0.000200\r\nused_cpu_user:9";
        let time = RedisTime::read(commands, cpu);
        assert_eq!(time.commands, 307.0);
        assert_eq!(time.cpu.round(), 300.0);
    }
}
