//! A token server that answers what a test tells it to, and remembers what it was sent.

use std::sync::{Arc, Mutex};

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
    answer: Arc<Mutex<Answer>>,
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
        let script = Script {
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
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
        *self.script.answer.lock().unwrap() = answer;
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
    let answer = script.answer.lock().unwrap().clone();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", answer.content_type.parse().unwrap());
    if let Some(location) = answer.location {
        headers.insert("location", location.parse().unwrap());
    }
    let status = StatusCode::from_u16(answer.status).unwrap();
    (status, headers, Body::from(answer.body)).into_response()
}
