//! Promotion and retirement of keys over a fleet whose machines have copies of the
//! keyring file: what counts is what live processes report.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use patchbay_tests::{Process, TestDatabase, TestRedis, free_port, patchbay_binary};

struct Fleet {
    database: TestDatabase,
    redis: TestRedis,
    folder: tempfile::TempDir,
}

impl Fleet {
    async fn prepare() -> Self {
        let fleet = Self {
            database: TestDatabase::fresh().await,
            redis: TestRedis::fresh(),
            folder: tempfile::tempdir().unwrap(),
        };
        fleet.keys(0, &["init"]);
        fleet
    }

    /// The operator's file.
    fn file(&self) -> PathBuf {
        self.folder.path().join("keyring.toml")
    }

    /// Another machine's copy, as it is now.
    fn copy_to(&self, name: &str) -> PathBuf {
        let (copy, draft) = (
            self.folder.path().join(name),
            self.folder.path().join("draft"),
        );
        std::fs::copy(self.file(), &draft).unwrap();
        std::fs::set_permissions(&draft, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::rename(draft, &copy).unwrap();
        copy
    }

    /// A command of the operator; its words.
    fn keys(&self, code: i32, arguments: &[&str]) -> String {
        let output = Command::new(patchbay_binary())
            .arg("keys")
            .args(arguments)
            .env_clear()
            .env("PATCHBAY_DATABASE_URL", self.database.url())
            .env("PATCHBAY_KEYRING_FILE", self.file())
            .output()
            .unwrap();
        let words = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {words}");
        words
    }

    fn worker(&self, keyring: &Path, port: u16) -> Process {
        Process::patchbay(
            &["worker", "--admin-listen", &format!("127.0.0.1:{port}")],
            &[
                ("PATCHBAY_DATABASE_URL", self.database.url()),
                ("PATCHBAY_REDIS_URL", self.redis.url()),
                ("PATCHBAY_KEYRING_FILE", keyring.to_str().unwrap()),
            ],
        )
        .unwrap()
    }
}

fn says(words: &str, parts: &[&str]) {
    for part in parts {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[tokio::test]
async fn a_key_is_promoted_once_every_machine_knows_it_and_retired_once_none_uses_it() {
    let fleet = Fleet::prepare().await;
    let (port, copy, oldest) = (free_port(), fleet.copy_to("there"), fleet.copy_to("oldest"));
    let mut worker = fleet.worker(&copy, port);
    worker.ready(port).await.unwrap();

    fleet.keys(0, &["add"]);
    let refused = fleet.keys(6, &["promote", "k2", "--wait", "0"]);
    says(&refused, &["not known to every live process", "worker on"]);
    assert!(fleet.keys(0, &["list"]).contains("standby"));
    fleet.copy_to("there");
    // Waits until the worker has read its copy.
    says(&fleet.keys(0, &["promote", "k2"]), &["rewrap"]);

    // The copy there has the former key as primary still.
    let refused = fleet.keys(6, &["retire", "k1", "--wait", "0"]);
    says(&refused, &["has it as primary"]);
    says(
        &fleet.keys(0, &["status"]),
        &["still has k1 as primary", "1 of 1"],
    );
    fleet.copy_to("there");
    says(&fleet.keys(0, &["retire", "k1"]), &["disabled"]);
    says(&fleet.keys(6, &["promote", "k1"]), &["disabled"]);
    let refused = fleet.keys(6, &["retire", "k1", "--remove"]);
    says(&refused, &["--yes-i-mean"]);
    fleet.keys(0, &["retire", "k1", "--remove", "--yes-i-mean", "k1"]);
    assert!(!fleet.keys(0, &["list"]).contains("k1"));

    // Who comes with a copy from before does not start.
    let mut late = fleet.worker(&oldest, free_port());
    let ended = late.wait(Duration::from_secs(30)).await.unwrap();
    assert_eq!(ended.code(), Some(2), "{}", late.log().unwrap());
    says(&late.log().unwrap(), &["no key `k2"]);
    assert!(worker.is_running().unwrap());
}
