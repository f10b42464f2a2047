//! The listener, over real sockets.

use std::time::Duration;

use axum::http::Method;
use patchbay_core::job::Settle;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::desk::{Desk, desk};

const SUBSCRIBERS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(30);

/// A served API.
struct Served {
    addr: std::net::SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

async fn serve(desk: &Desk) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = tokio::spawn(patchbay_api::serve(
        listener,
        desk.deps.clone(),
        stop.clone(),
    ));
    Served { addr, stop, server }
}

/// Opens a request and reads until `what` has come.
struct Client {
    stream: TcpStream,
    text: String,
}

impl Client {
    async fn open(served: &Served, desk: &Desk, method: Method, path: &str) -> Self {
        let mut stream = TcpStream::connect(served.addr).await.unwrap();
        let head = format!(
            "{method} /api/integrations{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
            desk.owner
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self {
            stream,
            text: String::new(),
        }
    }

    async fn until(&mut self, what: &str) {
        let mut chunk = [0; 4096];
        while !self.text.contains(what) {
            let got = timeout(PATIENCE, self.stream.read(&mut chunk))
                .await
                .expect("in time")
                .unwrap();
            assert_ne!(got, 0, "closed before `{what}`: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&chunk[..got]));
        }
    }

    async fn until_closed(&mut self) {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.stream.read_to_end(&mut rest))
            .await
            .expect("in time")
            .unwrap();
        self.text.push_str(&String::from_utf8_lossy(&rest));
    }
}

#[tokio::test]
async fn every_one_of_many_subscribers_sees_progress_and_end() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let claimed = desk.claim(job.id).await;
    let served = serve(&desk).await;
    let path = format!("/jobs/{}/events", job.id);
    let mut clients = Vec::new();
    for _ in 0..SUBSCRIBERS {
        clients.push(Client::open(&served, &desk, Method::GET, &path).await);
    }
    for client in &mut clients {
        client.until("event: progress").await;
    }
    desk.progress(&claimed, 42).await;
    for client in &mut clients {
        client.until("\"done\":42").await;
    }
    desk.end(&claimed, Settle::Succeed { result: json!({}) })
        .await;
    for client in &mut clients {
        client.until("event: end").await;
    }
    served.stop.cancel();
    served.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_ends_streams_with_a_hint_and_waits_with_what_there_is() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let served = serve(&desk).await;
    let mut stream = Client::open(
        &served,
        &desk,
        Method::GET,
        &format!("/jobs/{}/events", job.id),
    )
    .await;
    stream.until("event: progress").await;
    let mut org = Client::open(&served, &desk, Method::GET, "/stream").await;
    org.until("event: picture").await;
    let mut wait = Client::open(
        &served,
        &desk,
        Method::GET,
        &format!("/jobs/{}?wait=60", job.id),
    )
    .await;
    // The wait is under way once another request that came later has been answered.
    Client::open(&served, &desk, Method::GET, "/jobs")
        .await
        .until("200 OK")
        .await;

    served.stop.cancel();
    for client in [&mut stream, &mut org] {
        client.until_closed().await;
        assert!(client.text.contains("retry: 3000"), "{}", client.text);
    }
    wait.until("\"state\":\"queued\"").await;
    assert!(wait.text.starts_with("HTTP/1.1 200"), "{}", wait.text);
    timeout(PATIENCE, served.server)
        .await
        .expect("the server stops")
        .unwrap()
        .unwrap();
}
