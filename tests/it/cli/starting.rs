//! Processes that start before what they need, or with what they must refuse.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use patchbay_tests::{Process, TestDatabase, TestRedis, free_port, patchbay_binary};

use super::desk::Desk;

/// Nobody listens on port 1 of the loopback address.
const NOBODY: &str = "postgres://nobody:hunter2@127.0.0.1:1/nothing";

pub fn get(port: u16, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

async fn listening(process: &mut Process, port: u16) {
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(process.is_running().unwrap(), "{}", process.log().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn log_says(process: &Process, words: &str) {
    for _ in 0..500 {
        if process.log().unwrap().contains(words) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the log lacks `{words}`:\n{}", process.log().unwrap());
}

pub fn public_key(folder: &Path) -> String {
    let file = folder.join("keyring.toml");
    let made = std::process::Command::new(patchbay_binary())
        .args(["keys", "init", file.to_str().unwrap(), "--output", "json"])
        .env_clear()
        .output()
        .unwrap();
    assert!(made.status.success());
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    made["sealing_public_key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_api_lives_waits_and_says_why_while_its_database_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (key, port) = (public_key(folder.path()), free_port());
    let listen = format!("127.0.0.1:{port}");
    let mut api = Process::patchbay(
        &["api", "--listen", &listen, "--sealing-public-key", &key],
        &[
            ("PATCHBAY_DATABASE_URL", NOBODY),
            ("PATCHBAY_REDIS_URL", "redis://127.0.0.1:1"),
        ],
    )
    .unwrap();
    listening(&mut api, port).await;
    log_says(&api, "the database at 127.0.0.1:1 cannot be reached").await;
    assert_eq!(get(port, "/healthz").0, 200);
    let (status, answer) = get(port, "/readyz");
    assert!(
        status == 503 && answer.contains("cannot be reached"),
        "{answer}"
    );
    assert_eq!(get(port, "/api/integrations/providers").0, 503);
    assert!(!api.log().unwrap().contains("hunter2"));
    let ended = api.terminate(Duration::from_secs(10)).await.unwrap();
    assert!(ended.success(), "{ended}");
}

#[tokio::test]
async fn a_fleet_works_through_three_processes() {
    let (database, redis) = (TestDatabase::fresh().await, TestRedis::fresh());
    let desk = Desk::new();
    let folder = tempfile::tempdir().unwrap();
    let (key, keyring) = (
        public_key(folder.path()),
        folder.path().join("keyring.toml"),
    );
    let ports = [free_port(), free_port(), free_port()];
    let [api, worker, scheduler] = ports.map(|port| format!("127.0.0.1:{port}"));
    let sandbox_port = free_port().to_string();
    let square = format!("square=http://127.0.0.1:{sandbox_port}/square");
    let servers = [
        ("PATCHBAY_DATABASE_URL", database.url()),
        ("PATCHBAY_REDIS_URL", redis.url()),
    ];

    let _sandbox = Process::patchbay(&["sandbox", "--port", &sandbox_port], &[]).unwrap();
    let arguments = ["api", "--listen", &api, "--sealing-public-key", &key];
    let mut api = Process::patchbay(&arguments, &servers).unwrap();
    let keyring = keyring.to_str().unwrap();
    let outside = [
        "--providers-base-url",
        &square,
        "--outbound-allow",
        "127.0.0.1",
    ];
    let arguments = [
        "worker",
        "--keyring-file",
        keyring,
        "--admin-listen",
        &worker,
    ];
    let mut worker = Process::patchbay(&[&arguments, &outside[..]].concat(), &servers).unwrap();
    let mut scheduler =
        Process::patchbay(&["scheduler", "--admin-listen", &scheduler], &servers).unwrap();
    for (process, port) in [&mut api, &mut worker, &mut scheduler]
        .into_iter()
        .zip(ports)
    {
        process.ready(port).await.unwrap();
    }

    let url = format!("http://127.0.0.1:{}", ports[0]);
    let key = Desk::org_of_fleet(&servers);
    let there = ["--url", &url, "--key", &key];
    let connect: &[&str] = &["connect", "square", "--secret", "access_token=-"];
    let said = desk.run_with(&[&there, connect].concat(), "sandbox-square-token");
    assert_eq!(said.code, 0, "{said:?}");
    let said = desk.run(
        &[
            &there,
            &["sync", "square", "--stream", "customers", "--follow"][..],
        ]
        .concat(),
    );
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out
            .contains("customers: succeeded, 200 of 200 customers"),
        "{said:?}"
    );
    // It counts once the database has answered, which others may have seen before.
    let give_up = Instant::now() + Duration::from_secs(20);
    let metrics = loop {
        let metrics = get(ports[1], "/metrics").1;
        if metrics.contains("patchbay_worker_succeeded_total 2\n") {
            break metrics;
        }
        assert!(Instant::now() < give_up, "{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    for outcome in [
        "renewed",
        "joined",
        "refused",
        "refused_late",
        "postponed",
        "unanswered",
        "uncommitted",
        "interrupted",
        "misconfigured",
    ] {
        let line = format!("\npatchbay_refresh_{outcome}_total 0\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn exit_codes_tell_scripts_what_went_wrong() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["connections"]).code, 3, "no Patchbay is known");
    assert_eq!(desk.run(&["sync"]).code, 2, "an argument is missing");
    let _up = desk.up(&[]).await;
    assert_eq!(desk.run(&["--key", "pb_wrong", "jobs"]).code, 4);
    assert_eq!(desk.run(&["sync", "nothing"]).code, 5);
    let said = desk.run_with(
        &[
            "connect",
            "square",
            "--set",
            "environment=moon",
            "--secret",
            "access_token=-",
        ],
        "t",
    );
    assert_eq!(said.code, 6, "{said:?}");
    assert!(
        said.err
            .contains("/config/environment: must be one of: production, sandbox"),
        "{said:?}"
    );
    let url = format!("http://127.0.0.1:{}", free_port());
    assert_eq!(
        desk.run(&["--url", &url, "--key", "pb_x", "jobs"]).code,
        3,
        "nobody answers"
    );
}

#[tokio::test]
async fn a_connection_with_a_wrong_token_is_completed_by_an_update() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    let connect: &[&str] = &["connect", "square", "--secret", "access_token=-"];
    let update: &[&str] = &[
        "connections",
        "update",
        "square",
        "--secret",
        "access_token=-",
    ];
    for (command, advice) in [
        (connect, "patchbay connections update"),
        (update, "is pending and not in use"),
    ] {
        let said = desk.run_with(command, "not-the-token");
        assert_eq!(said.code, 7, "{said:?}");
        assert!(said.err.contains(advice), "{said:?}");
        let told = said.err + &said.out;
        assert!(!told.contains("not-the-token"), "{told}");
    }
    let again = desk.run_with(connect, "sandbox-square-token");
    assert_eq!(again.code, 6, "{again:?}");
    assert!(
        again.err.contains("patchbay connections update"),
        "{again:?}"
    );

    let said = desk.run_with(update, "sandbox-square-token");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("Status     active"), "{said:?}");
    let said = desk.run(&["connections", "update", "square", "--name", "Second till"]);
    assert!(said.out.contains("Name       Second till"), "{said:?}");
    assert_eq!(desk.run(&["connections", "update", "square"]).code, 2);

    let said = desk.run_with(update, "not-the-token");
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.err.contains("keeps the credential"), "{said:?}");
    assert_eq!(
        desk.json(&["connections", "show", "square"])["status"],
        "active"
    );
}
