//! Whoever receives webhooks: keeps what comes, answers as told, and verifies by itself.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What to answer: a status, and headers.
pub type Answer = (u16, Vec<(&'static str, String)>);

/// One request.
#[derive(Debug, Clone)]
pub struct Message {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Debug, Default)]
struct Inbox {
    messages: Vec<Message>,
    answers: VecDeque<Answer>,
}

pub struct Receiver {
    pub address: SocketAddr,
    inbox: Arc<Mutex<Inbox>>,
    _stop: DropGuard,
}

impl Message {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether it is signed with this secret, checked as the standard tells receivers to.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = secret.strip_prefix("whsec_").unwrap();
        let key = BASE64_STANDARD.decode(key).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        for part in [
            self.header("webhook-id").as_bytes(),
            b".",
            self.header("webhook-timestamp").as_bytes(),
            b".",
            &self.body,
        ] {
            mac.update(part);
        }
        let given = self.header("webhook-signature");
        let given = BASE64_STANDARD.decode(given.strip_prefix("v1,").unwrap());
        mac.verify_slice(&given.unwrap()).is_ok()
    }
}

impl Receiver {
    /// Answers 204 unless it is told otherwise.
    pub async fn start() -> Self {
        let inbox = Arc::<Mutex<Inbox>>::default();
        let app = Router::new().fallback(take).with_state(Arc::clone(&inbox));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            axum::serve(listener, app)
                .with_graceful_shutdown(stopped)
                .await
                .unwrap();
        });
        Self {
            address,
            inbox,
            _stop: stop.drop_guard(),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/alerts", self.address)
    }

    /// The next answers, in order; then 204 again.
    pub fn answer(&self, answers: impl IntoIterator<Item = u16>) {
        let answers = answers.into_iter().map(|status| (status, Vec::new()));
        self.answer_with(answers);
    }

    pub fn answer_with(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inbox.lock().unwrap().answers.extend(answers);
    }

    /// What came until now.
    pub fn messages(&self) -> Vec<Message> {
        self.inbox.lock().unwrap().messages.clone()
    }
}

async fn take(
    State(inbox): State<Arc<Mutex<Inbox>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap) {
    let mut inbox = inbox.lock().unwrap();
    inbox.messages.push(Message {
        path: uri.path().to_owned(),
        headers,
        body,
    });
    let (status, headers) = inbox.answers.pop_front().unwrap_or((204, Vec::new()));
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    (StatusCode::from_u16(status).unwrap(), headers.collect())
}

#[test]
fn the_check_of_signatures_passes_the_vector_of_the_standard_and_no_other() {
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let mut message = Message {
        path: "/".into(),
        headers: headers.into_iter().collect(),
        body: Bytes::from_static(br#"{"test": 2432232314}"#),
    };
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert!(message.is_signed_with(secret));
    assert!(!message.is_signed_with("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"));
    message.body = Bytes::from_static(br#"{"test": 2432232315}"#);
    assert!(!message.is_signed_with(secret));
}
