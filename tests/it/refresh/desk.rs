//! A connection by consent, without the browser: the stand-in gives the code, the provider's
//! code exchanges it, the store keeps what came.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use patchbay_core::{
    entities::credential,
    ids::CredentialId,
    outbound::Limits,
    secret::Secret,
    store::{
        connections::TestedAccount,
        credentials::{GrantFacts, NewCredential},
    },
};
use patchbay_providers::oauth::{self, OauthClient, TokenCall};
use patchbay_sandbox::{
    faults::Fault,
    oauth::Consent,
    square::{
        DEFAULT_MERCHANT,
        oauth::{CLIENT_ID, CLIENT_SECRET},
    },
};
use patchbay_worker::{Context, OauthClients};
use serde_json::json;

use crate::sync::desk::Desk;

const REDIRECT: &str = "http://127.0.0.1:7420/api/integrations/callback/square";

/// The client that the stand-in knows.
pub fn client() -> OauthClient {
    OauthClient {
        id: CLIENT_ID.into(),
        secret: Some(Secret::new(CLIENT_SECRET)),
    }
}

/// The clients that a worker knows.
pub fn clients() -> Arc<OauthClients> {
    let known = BTreeMap::from([("square".to_owned(), client())]);
    Arc::new(OauthClients::new(known))
}

/// Connects the desk's connection by consent; its access token lives for `seconds`.
pub async fn consented(mut desk: Desk, seconds: u64) -> Desk {
    desk.ctx.clients = clients();
    desk.sandbox.square.oauth.set_access_seconds(seconds);
    // Large, and asked for in every test.
    Box::pin(grant(&desk)).await;
    desk
}

/// A consent anew: what it brings becomes the connection's credential.
pub async fn grant(desk: &Desk) {
    let parameters = json!({ "redirect_uri": REDIRECT, "state": "s" });
    let consent = Consent {
        parameters: parameters.as_object().unwrap().clone(),
        answer: patchbay_sandbox::oauth::Answer::default(),
    };
    let consented = desk.sandbox.square.oauth.consent(&consent).unwrap();
    let code = Secret::new(consented.code.unwrap());
    let ctx = &desk.ctx;
    let provider = ctx.providers.get("square").unwrap();
    let place = ctx.providers.oauth(&**provider, &json!({})).unwrap();
    let call = TokenCall {
        outbound: &ctx.outbound,
        place: &place,
        client: &client(),
        clock: &*ctx.clock,
        trace_context: None,
        limits: Limits::default(),
        exempt: false,
    };
    let granted = oauth::exchange(&call, &code, &REDIRECT.parse().unwrap(), None)
        .await
        .unwrap();
    let tx = ctx.store.begin().await.unwrap();
    let row = ctx
        .store
        .lock_connection(&tx, desk.org, desk.connection)
        .await
        .unwrap()
        .unwrap();
    let id = CredentialId::new(ctx.store.clock());
    let sealed = ctx
        .vault
        .close_credential(&ctx.store, &tx, desk.org, row.id, id, &granted.fields)
        .await
        .unwrap();
    let new = NewCredential {
        id,
        sealed,
        mask: json!(granted.fields.masks()),
        expires_at: granted.expires_at,
        created_by: "test".into(),
        grant: Some(GrantFacts {
            client_id: CLIENT_ID.into(),
            scopes: granted.scopes.clone(),
            refreshable: granted.fields.get("refresh_token").is_some(),
            refresh_expires_at: granted.refresh_expires_at,
            refresh_due_at: granted.expires_at,
        }),
    };
    ctx.store
        .replace_credential(&tx, desk.org, row.id, new)
        .await
        .unwrap();
    let account = TestedAccount {
        key: DEFAULT_MERCHANT.into(),
        name: "Merchant".into(),
    };
    ctx.store
        .activate_connection(&tx, &row, json!({}), &account, "test")
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// The credential in force.
pub async fn credential(desk: &Desk) -> credential::Model {
    desk.ctx
        .store
        .current_credential(desk.ctx.store.db(), desk.org, desk.connection)
        .await
        .unwrap()
        .unwrap()
}

/// Asks for a newer credential than `version`, as a process that works with `ctx` does.
pub async fn renew(
    desk: &Desk,
    ctx: &Context,
    seen: &credential::Model,
) -> Result<i64, patchbay_worker::refresh::RefreshError> {
    let row = desk.row().await;
    let fresh = ctx
        .refresher
        .renew(ctx, &row, seen.id, seen.version)
        .await?;
    Ok(fresh.version)
}

/// The stand-in does this wrong and nothing else.
pub fn only(desk: &Desk, fault: Fault) {
    desk.sandbox.faults.clear();
    desk.sandbox.faults.add(fault).unwrap();
}

/// Waits until this is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// Waits until the provider has been asked for a refresh.
pub async fn until_asked(desk: &Desk) {
    let books = &desk.sandbox.square.oauth;
    until("a refresh is asked for", || books.refresh_calls() > 0).await;
}

/// A count of the process's refreshes by name.
pub fn counted(ctx: &Context, name: &str) -> u64 {
    let numbers = ctx.refresher.counts().numbers();
    numbers
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, count)| count)
        .expect("a counter of this name")
}
