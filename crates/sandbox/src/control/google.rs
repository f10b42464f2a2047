//! `/_control/google`: what people do in a Drive.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::{CHANGES_MAX, Input, Refused, too_many};
use crate::google::data::{DriveChange, DriveChangeKind, DriveSummary, NewFile};
use crate::google::{DEFAULT_ACCOUNT, Google};

pub(super) fn router(google: Google) -> Router {
    Router::new()
        .route("/", get(summaries))
        .route("/advance", post(advance))
        .route("/changes", post(change))
        .route("/files", post(put))
        .with_state(google)
}

fn default_account() -> String {
    DEFAULT_ACCOUNT.to_owned()
}

fn nothing() -> Refused {
    Refused(
        StatusCode::NOT_FOUND,
        "there is no such account, or nothing such to change".to_owned(),
    )
}

async fn summaries(State(google): State<Google>) -> Json<BTreeMap<String, DriveSummary>> {
    Json(google.summaries())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    changes: u32,
    #[serde(default = "default_account")]
    account: String,
}

async fn advance(
    State(google): State<Google>,
    input: Input<Advance>,
) -> Result<Json<Vec<DriveChange>>, Refused> {
    let Json(Advance { changes, account }) = input?;
    if changes > CHANGES_MAX {
        return Err(too_many(changes));
    }
    google
        .advance(&account, changes)
        .map(Json)
        .ok_or_else(nothing)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneChange {
    kind: DriveChangeKind,
    id: Option<String>,
    #[serde(default = "default_account")]
    account: String,
}

async fn change(
    State(google): State<Google>,
    input: Input<OneChange>,
) -> Result<Json<DriveChange>, Refused> {
    let Json(OneChange { kind, id, account }) = input?;
    google
        .change(&account, kind, id.as_deref())
        .map(Json)
        .ok_or_else(nothing)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    file: NewFile,
    #[serde(default = "default_account")]
    account: String,
}

async fn put(
    State(google): State<Google>,
    input: Input<Put>,
) -> Result<Json<DriveChange>, Refused> {
    let Json(Put { file, account }) = input?;
    google.put(&account, file).map(Json).ok_or_else(nothing)
}
