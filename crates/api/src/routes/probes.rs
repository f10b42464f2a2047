//! Whether the process lives, and whether it can serve.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use sea_orm::ConnectionTrait;
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::Api;

/// A probe must answer sooner than the one who asks loses patience.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process lives. It asks nothing of anything else.
#[utoipa::path(get, path = "/healthz", tag = "probes", security(()), responses((status = 200, body = Alive)))]
pub async fn healthz() -> Json<Alive> {
    Json(Alive {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alive {
    /// Always `ok`.
    status: &'static str,
    /// Version of the process.
    version: &'static str,
}

/// What the process needs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// `ready`, or `not_ready` (503) without the database.
    status: &'static str,
    /// `ok` or `away`.
    database: &'static str,
    /// `ok` or `away`. Without hints everything works, only slower, so this alone is not "not ready".
    hints: &'static str,
}

/// Whether requests can be served: 503 while the database is away or the process stops.
#[utoipa::path(
    get, path = "/readyz", tag = "probes", security(()),
    responses((status = 200, body = Ready), (status = 503, body = Ready)),
)]
pub async fn readyz(State(api): State<Api>) -> (StatusCode, Json<Ready>) {
    let database = tokio::time::timeout(PATIENCE, api.store.db().execute_unprepared("select 1"));
    let hints = tokio::time::timeout(PATIENCE, api.hints.ping());
    let (database, hints) = tokio::join!(database, hints);
    let database = matches!(database, Ok(Ok(_)));
    let hints = matches!(hints, Ok(Ok(())));
    let ready = database && !api.shutdown.is_cancelled();
    let words = |ok: bool| if ok { "ok" } else { "away" };
    let body = Ready {
        status: if ready { "ready" } else { "not_ready" },
        database: words(database),
        hints: words(hints),
    };
    (
        if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        },
        Json(body),
    )
}
