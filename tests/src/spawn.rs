//! Starting children that cannot outlive the test.

use std::{
    ffi::OsStr,
    fs::File,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A command whose process gets `signal` from the kernel when the thread that started it ends,
/// whatever ended it, and which stands in its own process group.
///
/// `setpriv` does it, because the system call has to happen in the child and the workspace
/// forbids unsafe code. Its process becomes the program, so the child's id is the program's.
pub(crate) fn bound_command(
    program: impl AsRef<OsStr>,
    signal: &str,
    user: Option<&str>,
) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command.process_group(0).stdin(Stdio::null());
    command
}

/// Starts the command with both outputs appended to the file `log`.
pub(crate) fn spawn_logged(command: &mut Command, log: &Path) -> Result<Child> {
    let out = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("opening the log {}", log.display()))?;
    let program = command.get_program().to_owned();
    command
        .stdout(out.try_clone().context("sharing the log")?)
        .stderr(out)
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

/// Sends a signal to a child that has not been waited for.
pub(crate) fn send(child: &Child, signal: Signal) -> Result<()> {
    kill(pid(child)?, signal).with_context(|| format!("sending {signal} to {}", child.id()))
}

/// The child's id as signals want it.
pub(crate) fn pid(child: &Child) -> Result<Pid> {
    Ok(Pid::from_raw(
        i32::try_from(child.id()).context("process ids fit 31 bits")?,
    ))
}

/// The last lines of a log, for a failure message.
pub(crate) fn tail(log: &Path) -> String {
    const LINES: usize = 40;
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| format!("(no log: {error})"));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
