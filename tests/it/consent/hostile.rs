//! A token server that answers what a test tells it to, and remembers what it was sent.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

#[derive(Clone)]
struct Script {
    /// One for each call; the last stays.
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What the token endpoint answers.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub location: Option<&'static str>,
    pub body: String,
}

impl Answer {
    pub fn json(body: &Value) -> Self {
        Self::text(body.to_string())
    }

    /// Text that claims to be JSON.
    pub fn text(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            location: None,
            body: body.into(),
        }
    }
}

/// A grant as the standard has it.
pub fn grant() -> Value {
    json!({
        "access_token": "an-access-token-0123456789", "token_type": "Bearer", "expires_in": 3600,
        "refresh_token": "a-refresh-token-0123456789", "scope": "openid files.read files.write",
    })
}

pub struct Hostile {
    pub url: String,
    script: Script,
    _stop: DropGuard,
}

impl Hostile {
    pub async fn answering(answer: Answer) -> Self {
        Self::answering_in_turn([answer]).await
    }

    /// The first call gets the first answer, and so on; the last is for all that come after.
    pub async fn answering_in_turn(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::at(listener, answers)
    }

    /// The same at an address of the test's own.
    pub fn at(listener: TcpListener, answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Script {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            asked: Arc::default(),
        };
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route(
                "/me",
                get(|| async { axum::Json(json!({ "sub": "alice" })) }),
            )
            .fallback(any(token))
            .with_state(script.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(stopped)
                .await
        });
        Self {
            url,
            script,
            _stop: stop.drop_guard(),
        }
    }

    /// From now on the token endpoint answers this.
    pub fn answer(&self, answer: Answer) {
        *self.script.answers.lock().unwrap() = [answer].into();
    }

    /// Bodies that the token endpoint was sent.
    pub fn asked(&self) -> Vec<String> {
        self.script.asked.lock().unwrap().clone()
    }
}

async fn token(State(script): State<Script>, request: Request) -> Response {
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    script.asked.lock().unwrap().push(text);
    let answer = {
        let mut answers = script.answers.lock().unwrap();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().expect("an answer for each call"),
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", answer.content_type.parse().unwrap());
    if let Some(location) = answer.location {
        headers.insert("location", location.parse().unwrap());
    }
    let status = StatusCode::from_u16(answer.status).unwrap();
    (status, headers, Body::from(answer.body)).into_response()
}
