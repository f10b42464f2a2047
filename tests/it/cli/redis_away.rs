//! A fleet whose Redis is not there: it is ready, says so, and works.

use patchbay_tests::{Process, TestDatabase, free_port};

use super::{
    desk::Desk,
    starting::{get, public_key},
};

/// Nobody listens on port 1 of the loopback address.
const NO_REDIS: &str = "redis://127.0.0.1:1";

#[tokio::test]
async fn a_fleet_without_redis_is_ready_says_so_and_works() {
    let (database, desk, folder) = (
        TestDatabase::fresh().await,
        Desk::new(),
        tempfile::tempdir().unwrap(),
    );
    let (key, keyring) = (
        public_key(folder.path()),
        folder.path().join("keyring.toml"),
    );
    let servers = [
        ("PATCHBAY_DATABASE_URL", database.url()),
        ("PATCHBAY_REDIS_URL", NO_REDIS),
    ];
    let [port, api_admin, worker_admin, sandbox] =
        [free_port(), free_port(), free_port(), free_port()];
    let at = |port: u16| format!("127.0.0.1:{port}");

    let _sandbox = Process::patchbay(&["sandbox", "--port", &sandbox.to_string()], &[]).unwrap();
    let (listen, admin) = (at(port), at(api_admin));
    let api = ["api", "--listen", &listen, "--admin-listen", &admin];
    let api = [&api, &["--sealing-public-key", key.as_str()][..]].concat();
    let mut api = Process::patchbay(&api, &servers).unwrap();
    let square = format!("square=http://{}/square", at(sandbox));
    let admin = at(worker_admin);
    let worker = ["worker", "--keyring-file", keyring.to_str().unwrap()];
    let outside = [
        "--admin-listen",
        &admin,
        "--providers-base-url",
        &square,
        "--outbound-allow",
        "127.0.0.1",
    ];
    let mut worker = Process::patchbay(&[&worker, &outside[..]].concat(), &servers).unwrap();
    api.ready(port).await.unwrap();
    worker.ready(worker_admin).await.unwrap();

    for admin in [api_admin, worker_admin] {
        let (status, said) = get(admin, "/readyz");
        assert_eq!(status, 200, "{said}");
        assert!(
            said.ends_with("ready\nbut Redis is away: work goes on from the table\n"),
            "{said}"
        );
    }
    let (status, said) = get(port, "/readyz");
    assert!(
        status == 200 && said.contains(r#""hints":"away""#),
        "{said}"
    );

    let url = format!("http://{}", at(port));
    let key = Desk::org_of_fleet(&servers);
    let there = ["--url", &url, "--key", &key];
    let connect = ["connect", "square", "--secret", "access_token=-"];
    let tested = desk.run_with(&[&there, &connect[..]].concat(), "sandbox-square-token");
    assert_eq!(
        tested.code, 0,
        "the test of the connection is a job: {tested:?}"
    );
}
