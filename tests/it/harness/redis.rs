//! Fresh Redis databases are separate; an own server can be lost and come back.

use patchbay_tests::{RedisServer, TestRedis};
use redis::{Commands, Connection};

fn connect(url: &str) -> Connection {
    redis::Client::open(url)
        .unwrap()
        .get_connection()
        .expect("Redis takes connections")
}

#[test]
fn a_fresh_redis_holds_nobody_elses_keys_and_survives_the_flush_of_another() {
    let (one, two) = (TestRedis::fresh(), TestRedis::fresh());
    let () = connect(one.url()).set("key", "value").unwrap();
    assert!(!connect(two.url()).exists::<_, bool>("key").unwrap());

    two.flush().unwrap();
    assert!(connect(one.url()).exists::<_, bool>("key").unwrap());
    one.flush().unwrap();
    assert!(!connect(one.url()).exists::<_, bool>("key").unwrap());
}

#[tokio::test]
async fn a_killed_redis_comes_back_empty_on_its_port() {
    let mut server = RedisServer::start().await.unwrap();
    let () = connect(&server.url()).set("key", "value").unwrap();

    server.kill().unwrap();
    assert!(
        redis::Client::open(server.url())
            .unwrap()
            .get_connection()
            .is_err()
    );

    server.restart().await.unwrap();
    assert!(!connect(&server.url()).exists::<_, bool>("key").unwrap());
}

#[tokio::test]
async fn a_paused_redis_hangs_and_goes_on() {
    let server = RedisServer::start().await.unwrap();
    let mut connection = connect(&server.url());
    connection
        .set_read_timeout(Some(std::time::Duration::from_millis(200)))
        .unwrap();

    server.pause().unwrap();
    assert!(connection.ping::<String>().is_err());

    server.resume().unwrap();
    assert_eq!(connect(&server.url()).ping::<String>().unwrap(), "PONG");
}
