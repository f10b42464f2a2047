//! What every request to Drive passes first: the bearer token.

use std::sync::{Arc, RwLock};

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Google;
use super::data::Drive;
use super::errors::GoogleError;
use crate::faults::Quirks;
use crate::requests::AccountId;

/// Who asks: an extension that the handlers read.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub account: String,
    pub drive: Arc<RwLock<Drive>>,
    scopes: Vec<String>,
    pub quirks: Quirks,
}

impl Caller {
    /// # Errors
    /// 403 unless the token may see files at all.
    pub fn may_list(&self) -> Result<(), GoogleError> {
        self.need(&["drive", "drive.readonly", "drive.metadata.readonly"])
    }

    /// # Errors
    /// 403 unless the token may read what is in files.
    pub fn may_read(&self) -> Result<(), GoogleError> {
        self.need(&["drive", "drive.readonly"])
    }

    fn need(&self, any_of: &[&str]) -> Result<(), GoogleError> {
        let held = self
            .scopes
            .iter()
            .filter_map(|scope| scope.strip_prefix("https://www.googleapis.com/auth/"));
        match held.into_iter().any(|scope| any_of.contains(&scope)) {
            true => Ok(()),
            false => Err(GoogleError::insufficient_scopes()),
        }
    }
}

pub(super) async fn check(
    State(google): State<Google>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return GoogleError::login_required().into_response();
    };
    let bearer = header
        .to_str()
        .ok()
        .and_then(|value| value.strip_prefix("Bearer "))
        .and_then(|token| google.oauth.bearer(token).ok());
    let Some(bearer) = bearer else {
        return GoogleError::invalid_credentials().into_response();
    };
    let account = bearer.account.id;
    let Some(drive) = google.drives.get(&account).cloned() else {
        return GoogleError::invalid_credentials().into_response();
    };
    let quirks = request
        .extensions()
        .get::<Quirks>()
        .copied()
        .unwrap_or_default();
    request.extensions_mut().insert(Caller {
        account: account.clone(),
        drive,
        scopes: bearer.scopes,
        quirks,
    });
    let mut response = next.run(request).await;
    response.extensions_mut().insert(AccountId(account.into()));
    response
}
