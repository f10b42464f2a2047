//! `/_control/square`: merchants, their changes, tokens that no consent made.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::{CHANGES_MAX, Input, Refused, too_many};
use crate::square::data::{Change, ChangeKind, Summary};
use crate::square::{DEFAULT_MERCHANT, Square, Token};

pub(super) fn router(square: Square) -> Router {
    Router::new()
        .route("/", get(summaries))
        .route("/advance", post(advance))
        .route("/changes", post(change))
        .route("/tokens", post(set_token))
        .with_state(square)
}

async fn summaries(State(square): State<Square>) -> Json<HashMap<String, Summary>> {
    Json(square.summaries())
}

fn default_merchant() -> String {
    DEFAULT_MERCHANT.to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    changes: u32,
    #[serde(default = "default_merchant")]
    merchant_id: String,
}

async fn advance(
    State(square): State<Square>,
    input: Input<Advance>,
) -> Result<Json<Vec<Change>>, Refused> {
    let Json(Advance {
        changes,
        merchant_id,
    }) = input?;
    if changes > CHANGES_MAX {
        return Err(too_many(changes));
    }
    Ok(Json(square.advance(&merchant_id, changes)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneChange {
    kind: ChangeKind,
    id: Option<String>,
    #[serde(default = "default_merchant")]
    merchant_id: String,
}

async fn change(
    State(square): State<Square>,
    input: Input<OneChange>,
) -> Result<Json<Change>, Refused> {
    let Json(OneChange {
        kind,
        id,
        merchant_id,
    }) = input?;
    let change = square.change(&merchant_id, kind, id.as_deref())?;
    let nothing = || {
        Refused(
            StatusCode::NOT_FOUND,
            "there is nothing such to change".to_owned(),
        )
    };
    change.map(Json).ok_or_else(nothing)
}

async fn set_token(
    State(square): State<Square>,
    input: Input<Token>,
) -> Result<StatusCode, Refused> {
    square.set_token(input?.0)?;
    Ok(StatusCode::NO_CONTENT)
}
