//! The whole flow against an authorization server that was not written here: oidc-provider,
//! certified, with PKCE required and refresh tokens that rotate.

use std::{path::PathBuf, process::Stdio};

use patchbay_core::{
    connection::ConnectionStatus, ids::ConnectionId, outbound::Limits, secret::Secret,
};
use patchbay_providers::oauth::{self, OauthClient, TokenCall, TokenError};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use super::{
    browser::Browser,
    desk::{Desk, PUBLIC_URL, Plan, nothing},
    generic::with_testbed,
};

/// A running server; it ends with its standard input.
struct Certified {
    issuer: String,
    _child: Child,
    _input: ChildStdin,
}

impl Certified {
    /// # Panics
    /// Where it is not installed: a run without it has not shown what this test shows.
    async fn start() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node");
        let node = folder.join("node_modules/.bin/node");
        assert!(
            node.exists(),
            "oidc-provider is not installed: run scripts/setup, which needs the npm registry once"
        );
        let mut child = Command::new(node)
            .arg(folder.join("authorization-server.mjs"))
            .arg(format!("{PUBLIC_URL}/api/integrations/callback/testbed"))
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("it says where it listens");
        let said: Value = serde_json::from_str(&line).unwrap();
        Self {
            issuer: said["issuer"].as_str().unwrap().to_owned(),
            _child: child,
            _input: input,
        }
    }
}

fn client() -> OauthClient {
    OauthClient {
        id: "patchbay".into(),
        secret: Some(Secret::new("a-secret-of-the-client-0123456789")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_server_connects_refreshes_refuses_a_replay_and_revokes() {
    let server = Certified::start().await;
    let issuer = server.issuer.clone();
    let plan = Plan {
        registry: Box::new(move |registry| with_testbed(registry, &issuer, true)),
        ..Plan::default()
    };
    let desk = Desk::new(plan).await;
    let _worker = desk.worker();
    // The app is the organization's own, so its secret comes from the sealed row.
    let app =
        json!({ "client_id": "patchbay", "client_secret": client().secret.unwrap().expose() });
    let path = "/oauth-clients/testbed?wait=20";
    let set = desk
        .call(&desk.key, axum::http::Method::PUT, path, Some(app))
        .await;
    assert_eq!(set.json(200)["job"]["state"], "succeeded", "{}", set.text);

    // Connect.
    let (id, url) = desk.ask("testbed", nothing()).await;
    let page = Browser::new(&desk).consent(&url).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let consent = desk.consent(&id).await;
    assert_eq!(consent["status"], "connected", "{consent:#} {}", page.text);
    let connection = consent["connection_id"].as_str().unwrap().to_owned();
    assert_eq!(desk.connection(&connection).await["account_key"], "alice");

    // Refresh, several times: each token works once and brings the next.
    let mut tokens = vec![desk.secret(&connection).await["refresh_token"].clone()];
    for _ in 0..3 {
        renew(&desk, &connection).await.unwrap();
        let now = desk.secret(&connection).await;
        assert!(!tokens.contains(&now["refresh_token"]));
        tokens.push(now["refresh_token"].clone());
        let test = desk.post_to(&connection, "test?wait=20", nothing()).await;
        assert_eq!(test.json(200)["state"], "succeeded", "{}", test.text);
    }

    // A replayed token is refused, and the server ends the grant for it.
    let providers = &desk.ctx.providers;
    let place = providers
        .oauth(&**providers.get("testbed").unwrap(), &json!({}))
        .unwrap();
    let client = client();
    let call = TokenCall {
        outbound: &desk.ctx.outbound,
        place: &place,
        client: &client,
        clock: &desk.clock,
        trace_context: None,
        limits: Limits::default(),
        exempt: false,
    };
    let replayed = oauth::refresh(&call, &tokens[0]).await.unwrap_err();
    assert!(matches!(replayed, TokenError::Refused(_)), "{replayed:?}");
    renew(&desk, &connection).await.unwrap_err();
    assert_eq!(status(&desk).await, ConnectionStatus::Expired);

    // A new consent brings the same connection back, and its grant can be revoked.
    let (id, url) = desk.ask("testbed", nothing()).await;
    assert_eq!(Browser::new(&desk).consent(&url).await.status, 200);
    assert_eq!(
        desk.consent(&id).await["connection_id"],
        connection.as_str()
    );
    assert_eq!(status(&desk).await, ConnectionStatus::Active);
    let fields = patchbay_core::secret::SecretFields(desk.secret(&connection).await);
    oauth::revoke(&call, &fields).await.unwrap();
    let after = oauth::refresh(&call, fields.get("refresh_token").unwrap()).await;
    assert!(matches!(after, Err(TokenError::Refused(_))), "{after:?}");
}

async fn status(desk: &Desk) -> ConnectionStatus {
    desk.connections().await[0].status
}

/// One refresh through the refresher that jobs use.
async fn renew(desk: &Desk, connection: &str) -> Result<(), String> {
    let id: ConnectionId = connection.parse().unwrap();
    let store = &desk.ctx.store;
    let row = store
        .connection(store.db(), desk.org, id)
        .await
        .unwrap()
        .unwrap();
    let credential = store
        .current_credential(store.db(), desk.org, id)
        .await
        .unwrap()
        .unwrap();
    let renewed = desk
        .ctx
        .refresher
        .renew(&desk.ctx, &row, credential.id, credential.version)
        .await;
    renewed.map(|_| ()).map_err(|error| format!("{error:?}"))
}
