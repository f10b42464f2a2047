//! The Web API's methods: HTTP 200 with `ok` true or false.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::oauth::{bot_user, person};
use super::workspaces::{Kind, channels};
use crate::oauth::params::Params;
use crate::oauth::{Bearer, Dead, OAuth, Reach};
use crate::requests::AccountId;

/// `{"ok":false,"error":...}` with what belongs to it.
#[derive(Debug)]
pub(super) struct NotOk(Value);

impl NotOk {
    fn new(error: &str) -> Self {
        Self(json!({ "ok": false, "error": error }))
    }
}

impl IntoResponse for NotOk {
    fn into_response(self) -> Response {
        Json(self.0).into_response()
    }
}

pub(super) async fn call(
    State(oauth): State<OAuth>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let arguments = arguments(query.as_deref(), &headers, &body);
    let (bearer, token) = match authenticate(&oauth, &headers, &arguments) {
        Ok(found) => found,
        Err(not_ok) => return not_ok.into_response(),
    };
    let answer = match method.as_str() {
        "auth.test" => Ok(auth_test(&bearer, &oauth)),
        "auth.revoke" => Ok(auth_revoke(&oauth, &token, &arguments)),
        "conversations.list" => conversations_list(&bearer, &arguments),
        _ => Err(NotOk::new("unknown_method")),
    };
    let mut response = match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(not_ok) => not_ok.into_response(),
    };
    // Every answer says what the token may do.
    if let Ok(scopes) = bearer.scopes.join(",").parse() {
        response.headers_mut().insert("x-oauth-scopes", scopes);
    }
    let account = AccountId(bearer.account.id.into());
    response.extensions_mut().insert(account);
    response
}

/// Of the query, or of a form or JSON body.
fn arguments(query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Params {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if body.is_empty() {
        return Params::of_query(query);
    }
    match content_type.starts_with("application/json") {
        true => Params::of_json(body).unwrap_or_default(),
        false => Params::of_form(body),
    }
}

fn authenticate(
    oauth: &OAuth,
    headers: &HeaderMap,
    arguments: &Params,
) -> Result<(Bearer, String), NotOk> {
    let header = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let token = header
        .or_else(|| arguments.get("token"))
        .ok_or_else(|| NotOk::new("not_authed"))?;
    match oauth.bearer(token) {
        Ok(bearer) => Ok((bearer, token.to_owned())),
        Err(Dead::Unknown) => Err(NotOk::new("invalid_auth")),
        Err(Dead::Expired) => Err(NotOk::new("token_expired")),
        Err(Dead::Revoked) => Err(NotOk::new("token_revoked")),
    }
}

fn auth_test(bearer: &Bearer, oauth: &OAuth) -> Value {
    let team = bearer.account.id.as_str();
    let mut answer = json!({
        "ok": true,
        "url": format!("https://{}.slack.com/", bearer.account.name.to_lowercase().replace(' ', "-")),
        "team": bearer.account.name,
        "team_id": team,
        "is_enterprise_install": false,
    });
    let fields = match bearer.user {
        false => [
            ("user", "patchbay".to_owned()),
            ("user_id", bot_user(team)),
            ("bot_id", format!("B{}", &team[1..])),
        ],
        true => [
            ("user", "owner".to_owned()),
            ("user_id", person(team)),
            ("app_id", "A0SANDBOX".to_owned()),
        ],
    };
    for (name, value) in fields {
        answer[name] = value.into();
    }
    if let Some(until) = bearer.until_ms {
        answer["expires_in"] = ((until - oauth.clock.now_ms()) / 1000).into();
    }
    answer
}

/// Ends the token it is called with, and what would renew it; no other of the workspace.
fn auth_revoke(oauth: &OAuth, token: &str, arguments: &Params) -> Value {
    let is_trial = arguments.is("test", "1") || arguments.is("test", "true");
    let now_ms = oauth.clock.now_ms();
    let is_revoked = !is_trial && oauth.ledger().revoke(token, None, Reach::Chain, now_ms);
    json!({ "ok": true, "revoked": is_revoked })
}

/// Larger is refused.
const LIMIT_MAX: usize = 1000;

fn conversations_list(bearer: &Bearer, arguments: &Params) -> Result<Value, NotOk> {
    let types = arguments.get("types").unwrap_or("public_channel");
    let mut kinds = Vec::new();
    for name in types.split(',') {
        let (kind, scope) = match name.trim() {
            "public_channel" => (Some(Kind::Public), "channels:read"),
            "private_channel" => (Some(Kind::Private), "groups:read"),
            "im" => (None, "im:read"),
            "mpim" => (None, "mpim:read"),
            _ => return Err(NotOk::new("invalid_types")),
        };
        if !bearer.holds(scope) {
            return Err(NotOk(json!({
                "ok": false, "error": "missing_scope",
                "needed": scope, "provided": bearer.scopes.join(","),
            })));
        }
        kinds.extend(kind);
    }
    let limit = match arguments.get("limit").map(str::parse::<usize>) {
        None => 100,
        Some(Ok(limit)) if (1..=LIMIT_MAX).contains(&limit) => limit,
        Some(_) => return Err(NotOk::new("invalid_limit")),
    };
    let team = bearer.account.id.as_str();
    let all = channels(team);
    let begin = match arguments.get("cursor") {
        None => 0,
        Some(cursor) => place(cursor, &all).ok_or_else(|| NotOk::new("invalid_cursor"))?,
    };
    let end = (begin + limit).min(all.len());
    let hides_archived =
        arguments.is("exclude_archived", "true") || arguments.is("exclude_archived", "1");
    // Filtered after the page is cut, as Slack does: a page may be short, or empty.
    let page: Vec<Value> = all[begin..end]
        .iter()
        .filter(|channel| kinds.contains(&channel.kind))
        .filter(|channel| !(hides_archived && channel.is_archived))
        .map(|channel| channel.json(team))
        .collect();
    let next = all.get(end).map(|channel| cursor(&channel.id));
    Ok(json!({
        "ok": true,
        "channels": page,
        "response_metadata": { "next_cursor": next.unwrap_or_default() },
    }))
}

/// Ends in `=` mostly, so a client must encode it.
fn cursor(id: &str) -> String {
    STANDARD.encode(format!("team:{id}"))
}

fn place(cursor: &str, all: &[super::workspaces::Channel]) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let id = text.strip_prefix("team:")?;
    all.iter().position(|channel| channel.id == id)
}
