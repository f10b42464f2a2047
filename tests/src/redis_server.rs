//! A Redis server of its own: killed, flushed, paused and started again by a test.

use std::{path::PathBuf, process::Child, time::Duration};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    port::free_port,
    spawn::{bound_command, send, spawn_logged, tail},
};

/// How long one question to a local Redis may take.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A running Redis without persistence, so a restart is also a total loss; gone when dropped.
#[derive(Debug)]
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    databases: u32,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server of the test's own.
    ///
    /// # Errors
    /// When Redis is not installed or does not answer; the message carries its log.
    pub async fn start() -> Result<Self> {
        Self::start_with_databases(16).await
    }

    pub(crate) async fn start_with_databases(databases: u32) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-redis-")
            .tempdir()?;
        let mut server = Self {
            folder,
            port: free_port(),
            databases,
            child: None,
        };
        server.restart().await?;
        Ok(server)
    }

    /// Its address, `redis://...`, database 0.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Kills it with SIGKILL; what it held is lost.
    ///
    /// # Errors
    /// When it was not running.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server is already down")?;
        send(&child, Signal::SIGKILL)?;
        child.wait().context("waiting for Redis to end")?;
        Ok(())
    }

    /// Starts it again, empty, on the same port, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up within 10 s; the message carries its log.
    pub async fn restart(&mut self) -> Result<()> {
        if self.child.is_some() {
            self.kill()?;
        }
        let mut command = bound_command("redis-server", "KILL", None);
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--databases", &self.databases.to_string()])
            // What a test dumps it can search: no value is packed.
            .args(["--rdbcompression", "no"])
            .current_dir(self.folder.path());
        self.child = Some(spawn_logged(&mut command, &self.log_path())?);
        self.wait_until_ready().await
    }

    /// Removes everything it holds, while clients stay connected.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn flush(&self) -> Result<()> {
        ask(&self.url(), &["FLUSHALL"]).context("flushing Redis")
    }

    /// Stops the process in place (SIGSTOP): connections hang instead of breaking.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&self) -> Result<()> {
        send(
            self.child.as_ref().context("the server is down")?,
            Signal::SIGSTOP,
        )
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&self) -> Result<()> {
        send(
            self.child.as_ref().context("the server is down")?,
            Signal::SIGCONT,
        )
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let give_up = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(child) = self.child.as_mut()
                && let Some(status) = child.try_wait()?
            {
                bail!("Redis ended with {status}:\n{}", tail(&self.log_path()));
            }
            match ask(&self.url(), &["PING"]) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > give_up => {
                    bail!("Redis does not answer: {error}\n{}", tail(&self.log_path()))
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill()
                .expect("a child that was not waited for takes signals");
        }
    }
}

/// One command on a connection of its own, its answer checked for being no error.
pub(crate) fn ask(url: &str, command: &[&str]) -> Result<()> {
    let mut connection = redis::Client::open(url)?.get_connection_with_timeout(ANSWER_WITHIN)?;
    connection.set_read_timeout(Some(ANSWER_WITHIN))?;
    let (name, arguments) = command.split_first().context("a command has a name")?;
    redis::cmd(name).arg(arguments).exec(&mut connection)?;
    Ok(())
}
