//! Slack's OAuth v2: comma scopes, HTTP 200 also for refusals, the person's token apart
//! in `authed_user`, rotation where the app has it switched on.
//!
//! Sources: the references of `oauth.v2.access` and "Token rotation" of Slack's API docs.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::oauth::refused::Refused;
use crate::oauth::rules::{
    BodyKind, Minted, Pkce, Renewal, Rules, Secret, Terms, TermsAsk, plain_callback,
};
use crate::oauth::{Account, Client, Issued, OAuth, Token};

/// The client that is registered from the start: its tokens never expire.
pub const CLIENT_ID: &str = "sandbox-slack";
pub const CLIENT_SECRET: &str = "sandbox-slack-secret";
/// Another, with token rotation switched on.
pub const ROTATING_CLIENT_ID: &str = "sandbox-slack-rotating";
pub const ROTATING_CLIENT_SECRET: &str = "sandbox-slack-rotating-secret";

static RULES: Rules = Rules {
    provider: "slack",
    title: "Slack",
    authorize_path: "/oauth/v2/authorize",
    token_path: "/api/oauth.v2.access",
    scopes: &[
        ("channels:read", "See public channels"),
        ("groups:read", "See private channels it is in"),
        ("im:read", "See direct messages"),
        ("mpim:read", "See group direct messages"),
        ("channels:history", "Read public channels"),
        ("groups:history", "Read private channels it is in"),
        ("chat:write", "Send messages"),
        (
            "chat:write.public",
            "Send messages to channels it is not in",
        ),
        ("users:read", "See people"),
        ("users:read.email", "See people's email addresses"),
        ("team:read", "See the workspace's name and icon"),
    ],
    separator: ',',
    user_scopes: true,
    response_type: false,
    state: false,
    pkce: Pkce::Checked {
        plain_by_default: false,
    },
    secret: Secret::Always,
    basic: true,
    body: BodyKind::Form,
    bare_exchange: true,
    repeats_redirect: true,
    code_seconds: 10 * 60,
    // A second use is refused by an error of its own; nothing says that it revokes.
    reuse_ends_grant: false,
    grace_seconds: None,
    access_tokens: Some(2),
    grants: None,
    lasting: |_, _| true,
    prefix,
    terms,
    granted,
    refused,
    callback: plain_callback,
    denied: &[],
    redirects_faults: false,
};

pub(crate) fn oauth(workspaces: Vec<Account>, clock: Clock) -> OAuth {
    let rotating = Client {
        rotates: true,
        ..Client::new(ROTATING_CLIENT_ID, ROTATING_CLIENT_SECRET)
    };
    let clients = vec![Client::new(CLIENT_ID, CLIENT_SECRET), rotating];
    OAuth::new(&RULES, clients, workspaces, clock)
}

fn prefix(minted: Minted, _: &Account) -> String {
    match minted {
        Minted::Code => "57.",
        Minted::Refresh => "xoxe-1-",
        Minted::Access { user, expires } => match (user, expires) {
            (false, false) => "xoxb-",
            (false, true) => "xoxe.xoxb-1-",
            (true, false) => "xoxp-",
            (true, true) => "xoxe.xoxp-1-",
        },
    }
    .to_owned()
}

fn terms(ask: &TermsAsk<'_>) -> Terms {
    let rotates = ask.client.rotates;
    Terms {
        access_seconds: rotates.then_some(12 * 60 * 60),
        renewal: match rotates {
            true => Renewal::Rotating { seconds: None },
            false => Renewal::None,
        },
        short_lived: false,
    }
}

/// The bot of the app in a workspace.
pub(super) fn bot_user(team: &str) -> String {
    format!("UB{}", &team[1..])
}

/// Who installed the app.
pub(super) fn person(team: &str) -> String {
    format!("UP{}", &team[1..])
}

fn granted(issued: &Issued) -> Value {
    let team = issued.account.id.as_str();
    let mut answer = json!({
        "ok": true,
        "app_id": "A0SANDBOX",
        "team": { "id": team, "name": issued.account.name },
        "enterprise": null,
        "is_enterprise_install": false,
        "authed_user": { "id": person(team) },
    });
    if let Some(token) = &issued.main {
        describe(&mut answer, token, "bot");
        answer["bot_user_id"] = bot_user(team).into();
    }
    if let Some(token) = &issued.user {
        // A refresh answers for one token only, at the top.
        match issued.is_refresh {
            true => describe(&mut answer, token, "user"),
            false => describe(&mut answer["authed_user"], token, "user"),
        }
    }
    answer
}

fn describe(at: &mut Value, token: &Token, kind: &str) {
    at["access_token"] = token.access.as_str().into();
    at["token_type"] = kind.into();
    at["scope"] = token.scopes.join(",").into();
    if let Some(seconds) = token.seconds {
        at["expires_in"] = seconds.into();
    }
    if let Some(refresh) = &token.refresh {
        at["refresh_token"] = refresh.text.as_str().into();
    }
}

fn refused(refused: &Refused) -> Response {
    let error = match refused {
        Refused::Body(_) => "invalid_form_data",
        Refused::Repeated(_) | Refused::TwoCredentials => "invalid_arguments",
        Refused::Missing("client_id") | Refused::UnknownClient(_) | Refused::OfAnotherClient => {
            "invalid_client_id"
        }
        Refused::Missing("client_secret") | Refused::BadSecret | Refused::SecretInPkceFlow => {
            "bad_client_secret"
        }
        Refused::Missing("refresh_token")
        | Refused::UnknownRefresh
        | Refused::RefreshExpired
        | Refused::RefreshReplayed
        | Refused::GrantEnded => "invalid_refresh_token",
        Refused::Missing(_) | Refused::UnknownCode(_) | Refused::CodeExpired => "invalid_code",
        Refused::CodeUsed => "code_already_used",
        Refused::RedirectMismatch => "bad_redirect_uri",
        Refused::VerifierMissing | Refused::VerifierWrong | Refused::VerifierNotNeeded => {
            "invalid_code_verifier"
        }
        Refused::GrantType => "invalid_grant_type",
        Refused::WiderScopes => "invalid_scope",
    };
    Json(json!({ "ok": false, "error": error })).into_response()
}
