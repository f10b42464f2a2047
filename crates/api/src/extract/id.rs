//! The id in a path.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use patchbay_core::ids::InvalidId;

use crate::problem::{Kind, Problem};

/// A typed id from `{id}`; anything else is a clear 400 before any query.
#[derive(Debug, Clone, Copy)]
pub struct Id<T>(pub T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: FromStr<Err = InvalidId>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        parsed(&segment(parts, state).await?).map(Self)
    }
}

/// A typed id and the name behind it, from `{id}/.../{key}`.
#[derive(Debug, Clone)]
pub struct IdAndKey<T>(pub T, pub String);

impl<S, T> FromRequestParts<S> for IdAndKey<T>
where
    S: Send + Sync,
    T: FromStr<Err = InvalidId>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, key)) = path.map_err(|_| no_utf8())?;
        Ok(Self(parsed(&id)?, key))
    }
}

/// A name from a path.
#[derive(Debug, Clone)]
pub struct Key(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        segment(parts, state).await.map(Self)
    }
}

async fn segment<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    match Path::<String>::from_request_parts(parts, state).await {
        Ok(Path(text)) => Ok(text),
        Err(_) => Err(no_utf8()),
    }
}

fn parsed<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| {
        Problem::new(
            Kind::InvalidId,
            "The id in the path is not a UUID. Use an id as answers of this API give them.",
        )
    })
}

fn no_utf8() -> Problem {
    Problem::new(
        Kind::InvalidId,
        "The path is not valid UTF-8 after percent decoding.",
    )
}
