//! A client that shows exactly what came over the wire, also when it breaks off.

use std::time::{Duration, Instant};

use patchbay_sandbox::RunningSandbox;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const TOKEN: &str = "sandbox-square-token";
pub const VERSION: &str = "2025-08-20";

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub took: Duration,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// Status, category, code, field of the first error.
    pub fn error(&self) -> (u16, String, String, Option<String>) {
        let error = &self.json()["errors"][0];
        let text = |key: &str| error[key].as_str().map(str::to_owned);
        (
            self.status,
            text("category").expect("a category"),
            text("code").expect("a code"),
            text("field"),
        )
    }

    /// Where a redirect leads.
    pub fn location(&self) -> String {
        let line = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then_some(value)
        });
        line.expect("a location").to_owned()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }

    pub fn code(&self) -> (u16, String) {
        let (status, _, code, _) = self.error();
        (status, code)
    }

    /// Bytes that the head announced.
    pub fn announced(&self) -> usize {
        self.head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .expect("a content-length")
    }
}

pub async fn send(
    sandbox: &RunningSandbox,
    head: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    try_send(sandbox, head, headers, body)
        .await
        .expect("a head")
}

/// `None`: the connection closed before an answer had begun.
pub async fn try_send(
    sandbox: &RunningSandbox,
    head: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Answer> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(sandbox.address())
        .await
        .expect("a running sandbox");
    let mut request = format!("{head} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the request is taken");
    let mut bytes = Vec::new();
    // A dropped connection may show as a reset: what came before it is the answer.
    if let Err(error) = stream.read_to_end(&mut bytes).await {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..split].to_vec()).expect("a head of text");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    Some(Answer {
        status,
        head,
        body: bytes[split + 4..].to_vec(),
        took: began.elapsed(),
    })
}

/// A request to Square as it should be made.
pub async fn square(sandbox: &RunningSandbox, request: &str, body: Value) -> Answer {
    let (method, path) = request.split_once(' ').expect("METHOD /path");
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("square-version", VERSION),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send(sandbox, &format!("{method} /square{path}"), &headers, &body).await
}

pub async fn get(sandbox: &RunningSandbox, path: &str) -> Answer {
    square(sandbox, &format!("GET {path}"), Value::Null).await
}

pub async fn post(sandbox: &RunningSandbox, path: &str, body: Value) -> Answer {
    square(sandbox, &format!("POST {path}"), body).await
}

pub async fn control(sandbox: &RunningSandbox, request: &str, body: Value) -> Answer {
    let (method, path) = request.split_once(' ').expect("METHOD /path");
    let headers = [("content-type", "application/json")];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    send(
        sandbox,
        &format!("{method} /_control{path}"),
        &headers,
        &body,
    )
    .await
}

/// Every row of a paged POST, following cursors.
pub async fn all_pages(
    sandbox: &RunningSandbox,
    path: &str,
    body: Value,
    rows: &str,
) -> Vec<Value> {
    let mut all = Vec::new();
    let mut body = body;
    for _ in 0..1000 {
        let answer = post(sandbox, path, body.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let page = answer.json();
        all.extend(page[rows].as_array().cloned().unwrap_or_default());
        match page.get("cursor") {
            Some(cursor) => body["cursor"] = cursor.clone(),
            None => return all,
        }
    }
    panic!("a walk over {path} without end");
}
