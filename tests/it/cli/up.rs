//! `patchbay up`, from the first start to a kill in the middle of a sync.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use patchbay_tests::{Process, free_port};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::desk::Desk;

/// What the stand-in makes up unless it is told otherwise.
const CUSTOMERS: u64 = 200;

#[tokio::test]
async fn an_account_is_connected_synced_and_counted_from_the_command_line() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    desk.connect();

    let said = desk.run(&["sync", "square", "--follow"]);
    assert_eq!(said.code, 0, "{said:?}");
    for stream in ["catalog", "sales", "customers", "inventory"] {
        assert!(
            said.out.contains(&format!("{stream}: succeeded")),
            "{said:?}"
        );
    }
    let totals = desk.json(&["records", "square", "--stream", "customers", "--totals"]);
    assert_eq!(totals["kinds"]["customer"], CUSTOMERS);
    let said = desk.run(&["records", "square", "--stream", "sales", "--totals"]);
    assert!(said.out.contains("net total"), "{said:?}");
    assert_eq!(desk.json(&["connections"])[0]["status"], "active");
    let said = desk.run(&["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[tokio::test]
async fn what_up_keeps_is_private_and_its_key_is_shown_once() {
    let desk = Desk::new();
    let mut up = desk.up(&[]).await;
    let instance = std::fs::read_to_string(desk.data().join("instance.json")).unwrap();
    let instance: Value = serde_json::from_str(&instance).unwrap();
    let key = instance["api_key"].as_str().unwrap().to_owned();
    assert!(up.log().unwrap().contains(&key));
    let mode = |name: &str| {
        std::fs::metadata(desk.data().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        [mode("."), mode("instance.json"), mode("keyring.toml")],
        [0o700, 0o600, 0o600]
    );

    let ended = up.terminate(Duration::from_secs(15)).await.unwrap();
    assert!(ended.success(), "{ended}");
    let again = desk.up(&[]).await;
    assert!(!again.log().unwrap().contains(&key));
    assert_eq!(
        desk.run(&["connections"]).code,
        0,
        "the key of the first start still works"
    );
}

#[tokio::test]
async fn what_up_cannot_start_on_is_told_in_a_line() {
    let (desk, other) = (Desk::new(), Desk::new());
    for desk in [&desk, &other] {
        let mut up = desk.up(&["--sandbox"]).await;
        desk.connect();
        up.terminate(Duration::from_secs(15)).await.unwrap();
    }
    let keyring = desk.data().join("keyring.toml");
    let refused = |code: i32, words: &[&str]| {
        let said = desk.run(&["up", "--listen", "127.0.0.1:0"]);
        assert_eq!(said.code, code, "{said:?}");
        for word in words {
            assert!(said.err.contains(word), "{word}: {said:?}");
        }
    };
    std::fs::copy(other.data().join("keyring.toml"), &keyring).unwrap();
    refused(2, &["not the one of this database", "Restore"]);
    let doctor = desk.run(&["doctor"]);
    assert_eq!(doctor.code, 8, "{doctor:?}");
    assert!(doctor.out.contains("BROKEN   keyring"), "{doctor:?}");
    std::fs::write(&keyring, "garbage").unwrap();
    refused(2, &[keyring.to_str().unwrap(), "Restore it"]);
    std::fs::remove_file(&keyring).unwrap();
    refused(2, &["keyring.toml is missing", "Restore"]);

    std::fs::copy(other.data().join("keyring.toml"), &keyring).unwrap();
    for name in ["patchbay.db", "patchbay.db-wal"] {
        std::fs::write(desk.data().join(name), [7; 8192]).unwrap();
    }
    refused(1, &["patchbay.db does not open", "backup"]);
    std::fs::remove_dir_all(desk.data()).unwrap();
    std::fs::write(desk.data(), "a file").unwrap();
    refused(1, &["--data-dir"]);
}

#[tokio::test]
async fn a_second_up_on_the_same_folder_is_refused() {
    let desk = Desk::new();
    let _up = desk.up(&[]).await;
    let said = desk.run(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(said.code, 9, "{said:?}");
    assert!(said.err.contains("is in use by process"), "{said:?}");
}

#[tokio::test]
async fn a_followed_sync_goes_on_after_up_was_killed_in_the_middle() {
    let desk = Desk::new();
    let sandbox_port = free_port().to_string();
    let sandbox = [
        "sandbox",
        "--port",
        &sandbox_port,
        "--items",
        "3000",
        "--latency-ms",
        "150",
    ];
    let _sandbox = Process::patchbay(&sandbox, &[]).unwrap();
    let square = format!("square=http://127.0.0.1:{sandbox_port}/square");
    let outside = [
        "--providers-base-url",
        &square,
        "--outbound-allow",
        "127.0.0.1",
    ];

    let mut up = desk.up(&outside).await;
    desk.connect();
    let data = desk.data();
    let sync = [
        "sync", "square", "--stream", "catalog", "--mode", "full", "--follow",
    ];
    let at_data = ["--data-dir", data.to_str().unwrap()];
    let mut following = Process::patchbay(&[&sync, &at_data[..]].concat(), &[]).unwrap();
    let job = running_sync(&desk).await;
    let before = done_at_least(&desk, &job, 100).await;
    up.kill().unwrap();

    let _up = desk.up(&outside).await;
    let ended = following.wait(Duration::from_secs(60)).await.unwrap();
    let said = following.log().unwrap();
    assert!(
        ended.success() && said.contains("catalog: succeeded"),
        "{ended}: {said}"
    );
    assert_eq!(said.matches("connecting again").count(), 1, "{said}");
    let after = desk.json(&["jobs", "show", &job]);
    let totals = desk.json(&["records", "square", "--stream", "catalog", "--totals"]);
    assert_eq!(totals["kinds"]["item"], 3000, "{totals}");
    assert_eq!(
        after["progress"]["done"], totals["records"],
        "nothing was counted twice"
    );
    assert!(after["progress"]["done"].as_u64() > Some(before));
}

/// Waits for the one sync to run; returns its job.
async fn running_sync(desk: &Desk) -> String {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let jobs = desk.json(&["jobs", "--kind", "sync", "--state", "running"]);
        if let Some(job) = jobs["data"][0]["id"].as_str() {
            return job.to_owned();
        }
        assert!(Instant::now() < give_up, "no sync runs");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the job has committed so many records; returns how many.
async fn done_at_least(desk: &Desk, job: &str, wanted: u64) -> u64 {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let shown = desk.json(&["jobs", "show", job]);
        let done = shown["progress"]["done"].as_u64().unwrap_or(0);
        assert!(
            shown["state"] != "succeeded",
            "the sync ended before it could be interrupted"
        );
        if done >= wanted {
            return done;
        }
        assert!(Instant::now() < give_up, "no progress: {shown}");
        sleep(Duration::from_millis(20)).await;
    }
}
