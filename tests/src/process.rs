//! A real process of the product, to be watched, paused and killed.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::spawn::{bound_command, pid, send, spawn_logged, tail};

/// A running child with its output in a file. It cannot outlive the test: it is killed when
/// dropped, and by the kernel when the test itself is killed. Its log is printed when the test
/// fails.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    folder: TempDir,
}

impl Process {
    /// Starts `patchbay` with these arguments and nothing in its environment but `variables` and
    /// what any program needs, so a developer's own settings change no test.
    ///
    /// Must be called from the test's own task: the kernel ends the child when the thread that
    /// started it ends.
    ///
    /// # Errors
    /// When the binary does not build or start.
    pub fn patchbay(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        Self::start(patchbay_binary(), arguments, variables)
    }

    /// Starts any program in the same way.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("patchbay-process-")
            .tempdir()?;
        let name = arguments.first().unwrap_or(&"process").to_string();
        let mut command = bound_command(program, "KILL", None);
        command.args(arguments).env_clear();
        for kept in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE"] {
            if let Some(value) = environment(kept) {
                command.env(kept, value);
            }
        }
        command
            .envs(variables.iter().copied())
            .current_dir(folder.path());
        let child = spawn_logged(&mut command, &folder.path().join("log"))?;
        Ok(Self {
            name,
            child,
            ended: None,
            folder,
        })
    }

    /// The system's id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `GET /readyz` on this loopback port answers 200.
    ///
    /// # Errors
    /// When the process ends first or is not ready within 30 s; the message carries its log.
    pub async fn ready(&mut self, port: u16) -> Result<()> {
        let give_up = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.poll_end()? {
                bail!(
                    "{} ended with {status} before it was ready:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            match readiness(port) {
                Ok(200) => return Ok(()),
                answer if Instant::now() > give_up => {
                    bail!(
                        "{} is not ready ({answer:?}):\n{}",
                        self.name,
                        self.log_tail()
                    )
                }
                Ok(_) | Err(_) => sleep(Duration::from_millis(25)).await,
            }
        }
    }

    /// Kills it (SIGKILL) with everything it started, and collects it.
    ///
    /// # Errors
    /// When the system refuses the signal.
    pub fn kill(&mut self) -> Result<()> {
        if self.poll_end()?.is_none() {
            killpg(pid(&self.child)?, Signal::SIGKILL)?;
            self.ended = Some(self.child.wait()?);
        }
        Ok(())
    }

    /// Stops it in place (SIGSTOP), as a machine that hangs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Errors
    /// When it has ended already, or does not end `within` that time.
    pub async fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        self.wait(within).await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it does not end `within` that time; the message carries its log.
    pub async fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let give_up = Instant::now() + within;
        loop {
            if let Some(status) = self.poll_end()? {
                return Ok(status);
            }
            if Instant::now() > give_up {
                bail!(
                    "{} still runs after {within:?}:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system does not know the child.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.poll_end()?.is_none())
    }

    /// Everything it has printed so far, both outputs in order.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.folder.path().join("log")).context("reading the log")
    }

    fn log_tail(&self) -> String {
        tail(&self.folder.path().join("log"))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.ended.is_none(), "{} has ended", self.name);
        send(&self.child, signal)
    }

    fn poll_end(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill()
            .expect("a child that was not waited for takes signals");
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log_tail());
        }
    }
}

/// The status line of `GET /readyz`; by hand, because the harness speaks HTTP nowhere else.
fn readiness(port: u16) -> Result<u16> {
    let within = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), within)?;
    stream.set_read_timeout(Some(within))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).context("a status line")?;
    Ok(status.parse()?)
}

/// The `patchbay` binary of this build, brought up to date once per test process.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn patchbay_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let folder = profile_folder().expect("test binaries stand in target/<profile>/deps");
        // Under the runner its setup script has done this once for all tests.
        if environment("NEXTEST").is_none() {
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "-p", "patchbay"])
                .status();
            assert!(
                built.is_ok_and(|status| status.success()),
                "`cargo build -p patchbay` failed"
            );
        }
        folder.join("patchbay")
    })
}

/// `target/<profile>`: the test binary stands in its `deps` folder.
pub(crate) fn profile_folder() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test
        .ancestors()
        .nth(2)
        .context("target/<profile>/deps/<test>")?;
    Ok(folder.to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the harness hands on the runner's environment"
)]
fn environment(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}
