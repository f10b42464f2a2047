//! Accounts are connected by consent in a real browser (`tests/node/connect.mjs`), on
//! `patchbay up` with its stand-ins.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use patchbay_tests::free_port;
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::desk::Desk;

/// The whole story takes a few seconds; a machine that is busy elsewhere takes longer.
const WITHIN: Duration = Duration::from_secs(150);

/// Where Debian and Ubuntu put programs.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/snap/bin";

fn chromium() -> PathBuf {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders = PATH.split(':').map(Path::new);
    folders
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
        .expect("scripts/setup installs Chromium")
}

#[tokio::test]
async fn accounts_are_connected_refreshed_lost_and_connected_again_in_a_browser() {
    let desk = Desk::new();
    let opener = free_port();
    let origin = format!("http://127.0.0.1:{opener}");
    let up = desk
        .up(&["--sandbox", "--consent-opener-origin", &origin])
        .await;
    let instance = std::fs::read_to_string(desk.data().join("instance.json")).unwrap();
    let instance: Value = serde_json::from_str(&instance).unwrap();
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let profile = tempfile::tempdir().unwrap();
    let mut script = Command::new(node.join("node_modules/.bin/node"));
    script
        .arg(node.join("connect.mjs"))
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", profile.path())
        .env("PATCHBAY_URL", instance["url"].as_str().unwrap())
        .env("PATCHBAY_API_KEY", instance["api_key"].as_str().unwrap())
        .env("SANDBOX_URL", instance["sandbox"].as_str().unwrap())
        .env("OPENER_PORT", opener.to_string())
        .env("CHROMIUM", chromium())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = timeout(WITHIN, script.output())
        .await
        .expect("the browser is done in time")
        .expect("scripts/setup installs the tests' node packages");
    let out = String::from_utf8_lossy(&ended.stdout);
    let err = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success(),
        "{out}{err}\n{}",
        up.log().unwrap_or_default()
    );
    assert_eq!(
        out.lines().filter(|line| line.starts_with("ok ")).count(),
        7,
        "{out}"
    );
}
