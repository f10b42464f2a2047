//! A person at a terminal: a data folder, a running `patchbay up` on it, client commands.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use patchbay_tests::{Process, free_port, patchbay_binary};
use serde_json::Value;
use tempfile::TempDir;

/// A data folder and the port of its API.
pub struct Desk {
    folder: TempDir,
    pub port: u16,
}

/// What a command came to.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            port: free_port(),
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// `patchbay up` with more arguments, ready.
    pub async fn up(&self, more: &[&str]) -> Process {
        let (data, listen) = (self.data(), format!("127.0.0.1:{}", self.port));
        let own = [
            "up",
            "--data-dir",
            data.to_str().unwrap(),
            "--listen",
            &listen,
        ];
        let mut up = Process::patchbay(&[&own, more].concat(), &[]).unwrap();
        up.ready(self.port).await.unwrap();
        up
    }

    /// A client command on this data folder, with nothing on its standard input.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "")
    }

    /// A client command that is given a text on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = Command::new(patchbay_binary())
            .args(arguments)
            .env_clear()
            .env("PATCHBAY_DATA_DIR", self.data())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads no input may have ended before it is written.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same with `--output json`, which must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// What typing these lines into bash says; each must succeed.
    pub fn typed(bash: &mut Command, lines: &str) -> String {
        let typed = bash.args(["-euo", "pipefail", "-c", lines]);
        let typed = typed.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(typed.stdout).unwrap();
        let complaints = String::from_utf8_lossy(&typed.stderr);
        assert!(typed.status.success(), "{said}\n{complaints}");
        said
    }

    /// Makes an organization of a fleet that stands on these servers; its key.
    pub fn org_of_fleet(servers: &[(&str, &str)]) -> String {
        let made = Command::new(patchbay_binary())
            .args(["org", "create", "Example Ltd", "--output", "json"])
            .env_clear()
            .envs(servers.iter().copied())
            .output()
            .unwrap();
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        made["api_key"].as_str().unwrap().to_owned()
    }

    /// Connects Square with the stand-in's token.
    pub fn connect(&self) {
        let said = self.run_with(
            &["connect", "square", "--secret", "access_token=-"],
            "sandbox-square-token\n",
        );
        assert_eq!(said.code, 0, "{said:?}");
    }
}
