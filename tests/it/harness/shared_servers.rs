//! The run's servers end with the run, however it ends.

use std::{
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use patchbay_tests::{Process, launch};

/// `host:port` of a server's address.
fn address(url: &str) -> &str {
    let rest = url
        .rsplit_once('@')
        .or_else(|| url.split_once("://"))
        .unwrap()
        .1;
    rest.split_once('/').unwrap().0
}

#[tokio::test]
async fn the_shared_servers_end_soon_after_a_killed_run() {
    let mut run = Process::start(Path::new("/bin/sleep"), &["1000"], &[]).unwrap();
    let keeper = Path::new(env!("CARGO_BIN_EXE_test-servers"));
    let servers = launch(keeper, run.id()).unwrap();
    let addresses = [address(&servers.postgres_url), address(&servers.redis_url)];
    assert!(
        addresses
            .iter()
            .all(|server| TcpStream::connect(server).is_ok())
    );

    run.kill().unwrap();

    let give_up = Instant::now() + Duration::from_secs(10);
    while addresses
        .iter()
        .any(|server| TcpStream::connect(server).is_ok())
    {
        assert!(
            Instant::now() < give_up,
            "servers without a run: {servers:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
