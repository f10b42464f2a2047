//! What the API's address answers while its database is away: alive, not ready, come
//! again. A load balancer sees it, and a client is told instead of refused.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::readiness::Readiness;
use crate::exit::Outcome;

const COME_AGAIN_SECONDS: &str = "2";

/// Answers on a listener until the API takes it over.
#[derive(Debug)]
pub struct WaitingRoom {
    close: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl WaitingRoom {
    /// Opens it on the same socket; the listener is given back for the API.
    pub fn open(listener: TcpListener, readiness: &Readiness) -> Outcome<(Self, TcpListener)> {
        let socket = listener.into_std()?;
        let (ours, theirs) = (
            TcpListener::from_std(socket.try_clone()?)?,
            TcpListener::from_std(socket)?,
        );
        let close = CancellationToken::new();
        let app = Router::new()
            .route(
                "/healthz",
                get(async || Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))),
            )
            .fallback(come_again)
            .with_state(readiness.clone());
        let serving = tokio::spawn(
            axum::serve(ours, app)
                .with_graceful_shutdown(close.clone().cancelled_owned())
                .into_future(),
        );
        Ok((Self { close, serving }, theirs))
    }

    /// Closes it: requests that have begun are answered first.
    pub async fn close(self) {
        self.close.cancel();
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "answering while waiting for the database failed")
            }
            Err(error) => {
                tracing::warn!(%error, "answering while waiting for the database ended early")
            }
        }
    }
}

async fn come_again(State(readiness): State<Readiness>) -> Response {
    let why = readiness
        .answer()
        .err()
        .unwrap_or_else(|| "starting".to_owned());
    let problem = json!({
        "type": "/problems/unavailable", "title": "Patchbay is starting", "status": 503,
        "detail": format!("{why}. Nothing was changed; repeat the request after the seconds that Retry-After says."),
    });
    let headers = [
        (header::CONTENT_TYPE, "application/problem+json"),
        (header::RETRY_AFTER, COME_AGAIN_SECONDS),
    ];
    (
        StatusCode::SERVICE_UNAVAILABLE,
        headers,
        problem.to_string(),
    )
        .into_response()
}
