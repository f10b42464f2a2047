//! A token endpoint that says what a test wants it to say, to the letter.

use std::time::Duration;

use patchbay_core::{
    clock::SystemClock,
    outbound::{Limits, Outbound},
    secret::{Secret, SecretFields},
};
use patchbay_providers::{
    Registry,
    oauth::{self, Grant, OauthClient, OauthPlace, TokenCall, TokenError},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use url::Url;

use crate::stand_in::outbound;

/// One provider's place, led to a server of ours.
pub struct TokenServer {
    pub place: OauthPlace,
    pub outbound: Outbound,
    pub limits: Limits,
    /// Requests as they came.
    pub seen: mpsc::UnboundedReceiver<String>,
}

/// A whole answer with a JSON body.
pub fn json_answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl TokenServer {
    /// Answers every request with these bytes and closes, or says nothing to `None`.
    pub async fn saying(provider: &str, answer: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (tell, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (tell, answer) = (tell.clone(), answer.clone());
                tokio::spawn(async move {
                    let request = whole_request(&mut stream).await;
                    // The test may have ended.
                    drop(tell.send(request));
                    match answer {
                        // A client that has heard enough closes first.
                        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                        None => std::future::pending().await,
                    }
                });
            }
        });
        let root = format!("http://127.0.0.1:{port}");
        Self {
            place: place(provider, &root),
            outbound: outbound(),
            limits: Limits::default(),
            seen,
        }
    }

    /// The same, with JSON.
    pub async fn json(provider: &str, status: u16, body: &str) -> Self {
        Self::saying(provider, Some(json_answer(status, body))).await
    }

    pub async fn exchange(&self) -> Result<Grant, TokenError> {
        let (code, verifier) = (Secret::new("c0de"), Secret::new("v3rifier"));
        let redirect_uri = Url::parse("https://app.example/callback").expect("an address");
        let client = client();
        oauth::exchange(&self.call(&client), &code, &redirect_uri, Some(&verifier)).await
    }

    pub async fn refresh(&self) -> Result<Grant, TokenError> {
        let client = client();
        oauth::refresh(&self.call(&client), &Secret::new("r3fresh")).await
    }

    pub async fn revoke(&self, fields: &SecretFields) -> Result<(), TokenError> {
        let client = client();
        oauth::revoke(&self.call(&client), fields).await
    }

    fn call<'a>(&'a self, client: &'a OauthClient) -> TokenCall<'a> {
        TokenCall {
            outbound: &self.outbound,
            place: &self.place,
            client,
            clock: &SystemClock,
            trace_context: None,
            limits: self.limits,
            exempt: false,
        }
    }

    pub fn hurried(mut self) -> Self {
        self.limits.header = Duration::from_millis(200);
        self
    }
}

pub fn client() -> OauthClient {
    OauthClient {
        id: "our-client".into(),
        secret: Some(Secret::new("cl13nt-s3cret")),
    }
}

/// A provider's place under another root.
pub fn place(provider: &str, root: &str) -> OauthPlace {
    let registry = Registry::builtin()
        .with_base_url(provider, root.parse().expect("an address"))
        .expect("it is there");
    let config = json!({ "shop": "demo.myshopify.com" });
    let provider = registry.get(provider).expect("it is there");
    registry.oauth(&**provider, &config).expect("a consent")
}

/// Head and body, as far as the head says.
async fn whole_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .and_then(|length| length.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return text,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
        }
    }
}
