//! A PostgreSQL server of its own: started, crashed and started again by a test.

use std::{
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::Child,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{sys::signal::Signal, unistd};
use patchbay_migrations::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    database::TestDatabase,
    port::free_port,
    spawn::{bound_command, send, spawn_logged, tail},
};

/// PostgreSQL refuses to run as root, so a root test run starts it as this user.
const SERVER_USER: &str = "postgres";
const SUPERUSER: &str = "patchbay";
/// The migrated database that every fresh one copies.
pub(crate) const TEMPLATE: &str = "patchbay_template";

/// No sync to disk (only a crash of the machine could lose a commit, not one of the server), room
/// for many tests at once, TCP on loopback only.
const SETTINGS: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "jit=off",
    "log_min_messages=warning",
];

/// A running PostgreSQL with its own data folder and port; gone, with its data, when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl PostgresServer {
    /// Makes a cluster with the migrated template and starts it: about two seconds, so only for
    /// tests that hurt the server; others share one through [`TestDatabase::fresh`].
    ///
    /// # Errors
    /// When PostgreSQL is not installed, does not start, or a migration fails.
    pub async fn start() -> Result<Self> {
        let server = Self::start_empty().await?;
        server
            .make_template()
            .await
            .context("migrating the template database")?;
        Ok(server)
    }

    async fn start_empty() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-postgres-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()?;
        if let Some(account) = server_account()? {
            chown(
                folder.path(),
                Some(account.uid.as_raw()),
                Some(account.gid.as_raw()),
            )
            .context("giving the folder to postgres")?;
        }
        let data = folder.path().join("data");
        let made = bound_command(program("initdb")?, "KILL", server_user())
            .args([
                "--username",
                SUPERUSER,
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
            ])
            .args([
                "--locale",
                "C",
                "--no-sync",
                "--no-instructions",
                "--pgdata",
            ])
            .arg(&data)
            .current_dir(folder.path())
            .output()
            .context("running initdb")?;
        if !made.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        let mut server = Self {
            folder,
            port: free_port(),
            child: None,
        };
        server.restart().await?;
        Ok(server)
    }

    /// The address of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// A migrated database of its own on this server; it goes when the server goes.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn fresh(&self) -> Result<TestDatabase> {
        TestDatabase::copy_template(&self.url("postgres"), crate::database::OnDrop::Keep).await
    }

    /// Ends it as a crash does: no goodbye to clients, no checkpoint, recovery at the next start.
    ///
    /// # Errors
    /// When it was not running.
    pub fn crash(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server is already down")?;
        // SIGQUIT, not SIGKILL: the postmaster then takes its backends along at once. They would
        // otherwise hold the shared memory for a while and refuse the restart.
        send(&child, Signal::SIGQUIT)?;
        child.wait().context("waiting for PostgreSQL to end")?;
        Ok(())
    }

    /// Starts it again on the same port and data, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up within 30 s; the message carries its log.
    pub async fn restart(&mut self) -> Result<()> {
        if self.child.is_some() {
            self.crash()?;
        }
        let mut command = bound_command(program("postgres")?, "QUIT", server_user());
        command.arg("-D").arg(self.folder.path().join("data"));
        command
            .args(["-p", &self.port.to_string()])
            .current_dir(self.folder.path());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        self.child = Some(spawn_logged(&mut command, &self.log_path())?);
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(child) = self.child.as_mut()
                && let Some(status) = child.try_wait()?
            {
                bail!(
                    "PostgreSQL ended with {status}:\n{}",
                    tail(&self.log_path())
                );
            }
            match connect(&self.url("postgres")).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(error) if Instant::now() > give_up => {
                    bail!(
                        "PostgreSQL does not answer: {error}\n{}",
                        tail(&self.log_path())
                    )
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn make_template(&self) -> Result<()> {
        let admin = connect(&self.url("postgres")).await?;
        admin
            .execute_unprepared(&format!("CREATE DATABASE {TEMPLATE}"))
            .await?;
        let template = connect(&self.url(TEMPLATE)).await?;
        Migrator::up(&template, None).await?;
        template.close().await?;
        admin
            .execute_unprepared(&format!("ALTER DATABASE {TEMPLATE} IS_TEMPLATE true"))
            .await?;
        Ok(admin.close().await?)
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.crash()
                .expect("a child that was not waited for takes signals");
        }
    }
}

/// One connection, not a pool of ten: the server's slots are for the product.
pub(crate) async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .connect_timeout(Duration::from_secs(10))
        .acquire_timeout(Duration::from_secs(10))
        .sqlx_logging(false);
    Database::connect(options).await
}

fn server_user() -> Option<&'static str> {
    unistd::geteuid().is_root().then_some(SERVER_USER)
}

fn server_account() -> Result<Option<unistd::User>> {
    let Some(user) = server_user() else {
        return Ok(None);
    };
    let account = unistd::User::from_name(user)?.with_context(|| {
        format!("there is no user {user}, and PostgreSQL refuses to run as root: run scripts/setup")
    })?;
    Ok(Some(account))
}

/// A server program: on the path, or where Debian puts the newest version.
fn program(name: &str) -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let path = entry.path().join("bin").join(name);
            path.exists().then_some((version, path))
        })
        .max()
        .map(|(_, path)| path)
        .or_else(|| on_path(name))
        .with_context(|| format!("PostgreSQL's `{name}` is not installed: run scripts/setup"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the search path is the system's, no setting"
    )]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
