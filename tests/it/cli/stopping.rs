//! How a serving process ends, and with what code.

use std::{
    io::Write,
    net::TcpStream,
    time::{Duration, Instant},
};

use patchbay_tests::Process;
use serde_json::Value;

use super::desk::Desk;

/// A request whose body never comes: its answer holds a graceful stop up for ten seconds.
fn unfinished_request(desk: &Desk) -> TcpStream {
    let instance = std::fs::read_to_string(desk.data().join("instance.json")).unwrap();
    let instance: Value = serde_json::from_str(&instance).unwrap();
    let key = instance["api_key"].as_str().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", desk.port)).unwrap();
    write!(
        stream,
        "POST /api/integrations/connections HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\nexpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    // The answer to `expect` says that the body is waited for.
    let mut begun = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100");
    stream
}

/// Asks it to end, and waits until it has said so.
async fn ask_to_end(up: &mut Process, until_it_says: &str) {
    let ended = up.terminate(Duration::ZERO).await;
    assert!(ended.is_err(), "it waits for the request: {ended:?}");
    let give_up = Instant::now() + Duration::from_secs(5);
    while !up.log().unwrap().contains(until_it_says) {
        assert!(Instant::now() < give_up, "{}", up.log().unwrap());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn one_that_is_told_again_and_again_to_end_says_143() {
    let desk = Desk::new();
    let mut up = desk.up(&[]).await;
    let _request = unfinished_request(&desk);
    ask_to_end(&mut up, "a second signal stops at once").await;
    ask_to_end(&mut up, "second signal: unfinished jobs").await;
    let ended = up.terminate(Duration::from_secs(20)).await.unwrap();
    assert_eq!(ended.code(), Some(143), "{ended}");
    let codes = desk.run(&["exit-codes"]).out;
    assert!(codes.contains("\n  143  "), "{codes}");
}
