//! The whole life of a grant through the product, at the providers whose consents are stranger
//! than the standard: the account is connected, its token ends and is renewed where it can be,
//! and the grant is ended at the provider where there is a call for it.

use std::{collections::BTreeMap, sync::Arc};

use chrono::TimeDelta;
use patchbay_core::{
    failure::FailureKind,
    job::Queue,
    outbound::Limits,
    secret::{Secret, SecretFields},
};
use patchbay_providers::oauth::{self, OauthClient, TokenCall, TokenError};
use patchbay_sandbox::{
    RunningSandbox, etsy,
    oauth::{Answer, OAuth},
    shopify, slack,
};
use patchbay_worker::OauthClients;
use serde_json::{Value, json};

use super::{
    browser::Browser,
    desk::{Desk, Plan},
};

/// A provider and how grants live there.
struct Case {
    provider: &'static str,
    setting: &'static str,
    client: &'static str,
    config: Value,
    books: fn(&RunningSandbox) -> &OAuth,
    scopes: &'static [&'static str],
    /// Tokens end, and are renewed.
    renews: bool,
    /// There is a call that ends a grant.
    revokes: bool,
}

fn slack() -> Case {
    Case {
        provider: "slack",
        setting: "oauth.slack.client_id",
        client: slack::oauth::CLIENT_ID,
        config: json!({}),
        books: |sandbox| &sandbox.slack.oauth,
        scopes: &["team:read"],
        renews: false,
        revokes: true,
    }
}

fn rotating_slack() -> Case {
    Case {
        client: slack::oauth::ROTATING_CLIENT_ID,
        renews: true,
        ..slack()
    }
}

fn etsy() -> Case {
    Case {
        provider: "etsy",
        setting: "oauth.etsy.client_id",
        client: etsy::oauth::CLIENT_ID,
        config: json!({}),
        books: |sandbox| &sandbox.etsy.oauth,
        scopes: &["shops_r"],
        renews: true,
        revokes: false,
    }
}

fn shopify() -> Case {
    Case {
        provider: "shopify",
        setting: "oauth.shopify.client_id",
        client: shopify::oauth::CLIENT_ID,
        config: json!({ "shop": shopify::DEFAULT_SHOP }),
        books: |sandbox| &sandbox.shopify.oauth,
        scopes: &["read_products"],
        renews: true,
        revokes: true,
    }
}

/// A case on its desk.
struct Life {
    case: Case,
    desk: Desk,
    client: OauthClient,
    books: OAuth,
}

impl Life {
    async fn of(case: Case, postgres: bool) -> Self {
        let plan = Plan {
            postgres,
            ..Plan::with(case.setting, case.client)
        };
        let mut desk = Desk::new(plan).await;
        let client = OauthClient {
            id: case.client.into(),
            secret: Some(Secret::new(format!("{}-secret", case.client))),
        };
        let clients = BTreeMap::from([(case.provider.to_owned(), client.clone())]);
        desk.ctx.clients = Arc::new(OauthClients::new(clients));
        let books = (case.books)(&desk.sandbox).clone();
        books.answer_always(Some(Answer::default()));
        Self {
            case,
            desk,
            client,
            books,
        }
    }

    /// Consents in a browser; the consent as it stands then.
    async fn connected(&self) -> Value {
        let body = json!({ "config": self.case.config });
        let (id, url) = self.desk.ask(self.case.provider, body).await;
        let page = Browser::new(&self.desk).consent(&url).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let consent = self.desk.consent(&id).await;
        assert_eq!(consent["status"], "connected", "{consent:#}");
        consent
    }

    /// Time passes here and at the provider.
    fn pass(&self, hours: u32) {
        self.desk.clock.advance(TimeDelta::hours(hours.into()));
        let ms = u64::from(hours) * 3_600_000;
        self.desk.sandbox.clock.advance_ms(ms);
    }

    /// What answers say of the connection holds nothing that opens the account.
    async fn assert_tells_no_secret(&self, paths: &[String]) {
        let minted = self.books.minted();
        assert!(minted.len() >= 2, "a code and a token");
        for path in paths {
            let said = self.desk.get(path).await;
            assert_eq!(said.status, 200, "{path}: {}", said.text);
            for secret in minted.iter().chain([&self.client_secret()]) {
                assert!(!said.text.contains(secret), "{path}: {}", said.text);
            }
        }
    }

    fn client_secret(&self) -> String {
        format!("{}-secret", self.case.client)
    }

    /// Whether the provider still takes the access token.
    async fn opens(&self, fields: &SecretFields) -> Result<(), FailureKind> {
        let ctx = &self.desk.ctx;
        let provider = ctx.providers.get(self.case.provider).unwrap();
        let session = ctx.providers.open(
            &**provider,
            ctx.outbound.clone(),
            ctx.clock.clone(),
            self.case.config.clone(),
            fields.clone(),
            None,
        );
        let session = session.with_client(Some(self.client.clone()));
        let tested = provider.test(&session).await;
        tested.map(drop).map_err(|error| error.kind)
    }

    /// Whether the provider still takes the refresh token.
    async fn renews(&self, fields: &SecretFields) -> Result<(), TokenError> {
        let ctx = &self.desk.ctx;
        let provider = ctx.providers.get(self.case.provider).unwrap();
        let place = ctx.providers.oauth(&**provider, &self.case.config).unwrap();
        let call = TokenCall {
            outbound: &ctx.outbound,
            place: &place,
            client: &self.client,
            clock: &*ctx.clock,
            trace_context: None,
            limits: Limits::default(),
            exempt: false,
        };
        let token = fields.get("refresh_token").expect("a refresh token");
        oauth::refresh(&call, token).await.map(drop)
    }
}

async fn a_grant_lives_and_ends(case: Case, postgres: bool) {
    let life = Life::of(case, postgres).await;
    let (case, desk, books) = (&life.case, &life.desk, &life.books);
    let _worker = desk.worker_of(&[Queue::Interactive, Queue::Maintenance]);

    let consent = life.connected().await;
    let exchange = consent["job_id"].as_str().unwrap();
    let connection = consent["connection_id"].as_str().unwrap();
    let job = desk.get(&format!("/jobs/{exchange}")).await.json(200);
    assert_eq!(
        (&job["kind"], &job["state"]),
        (&json!("consent_exchange"), &json!("succeeded"))
    );
    assert!(
        desk.job(exchange).await.sealed.is_none(),
        "the code is gone"
    );
    let shown = desk.connection(connection).await;
    assert_eq!(shown["status"], "active", "{shown:#}");
    assert_eq!(shown["capabilities_missing"], json!({}));
    let credential = &shown["credential"];
    assert_eq!(credential["origin"], "consent", "{credential:#}");
    assert_eq!(credential["status"], "active", "{credential:#}");
    assert_eq!(credential["version"], 1);
    assert_eq!(credential["scopes"], json!(case.scopes));
    assert_eq!(credential["refreshable"], case.renews);
    assert_eq!(credential["expires_at"].is_string(), case.renews);
    let first = SecretFields(desk.secret(connection).await);
    assert_eq!(first.get("refresh_token").is_some(), case.renews);
    assert_eq!(credential["mask"], json!(first.masks()));
    let paths = [
        format!("/connections/{connection}"),
        "/connections".into(),
        format!("/consents/{}", consent["id"].as_str().unwrap()),
        format!("/jobs/{exchange}"),
        format!("/jobs/{exchange}/logs"),
        "/events".into(),
    ];
    life.assert_tells_no_secret(&paths).await;

    // Longer than any of their access tokens lives.
    life.pass(13);
    let tested = desk.post_to(connection, "test?wait=30", json!({})).await;
    assert_eq!(tested.json(200)["state"], "succeeded", "{}", tested.text);
    let shown = desk.connection(connection).await;
    assert_eq!(shown["status"], "active", "{shown:#}");
    let credential = &shown["credential"];
    assert_eq!(credential["version"], if case.renews { 2 } else { 1 });
    assert_eq!(credential["refreshed_at"].is_string(), case.renews);
    assert_eq!(credential["scopes"], json!(case.scopes), "kept");
    assert_eq!(books.refresh_calls(), u64::from(case.renews));
    let last = SecretFields(desk.secret(connection).await);
    let same = first.get("access_token") == last.get("access_token");
    assert_eq!(same, !case.renews);
    assert_eq!(life.opens(&last).await, Ok(()));

    desk.disconnect(connection).await;
    let done = desk.revocation().await;
    assert_eq!(done["result"]["revoked"], case.revokes, "{done:#}");
    assert!(done["result"]["reason"].is_string(), "{done:#}");
    let id = done["id"].as_str().unwrap();
    assert!(desk.job(id).await.sealed.is_none(), "the token is gone");
    let credential = &desk.connection(connection).await["credential"];
    assert_eq!(credential["status"], "revoked", "{credential:#}");

    if case.revokes {
        assert_eq!(life.opens(&last).await, Err(FailureKind::Auth));
    } else {
        let reason = done["result"]["reason"].as_str().unwrap();
        assert!(reason.contains("no address to revoke at"), "{reason}");
        assert_eq!(life.opens(&last).await, Ok(()), "it lives on over there");
    }
    if case.renews {
        let renewed = life.renews(&last).await;
        match case.revokes {
            true => assert!(
                matches!(renewed, Err(TokenError::Refused(_))),
                "{renewed:?}"
            ),
            false => assert_eq!(renewed, Ok(()), "it lives on over there"),
        }
    }
    let paths = [
        format!("/jobs/{id}"),
        format!("/connections/{connection}"),
        "/events".into(),
    ];
    life.assert_tells_no_secret(&paths).await;
}

async fn on_both_databases(case: fn() -> Case) {
    Box::pin(a_grant_lives_and_ends(case(), false)).await;
    Box::pin(a_grant_lives_and_ends(case(), true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_without_rotation_lives_until_it_is_revoked() {
    on_both_databases(slack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_with_rotation_lives_and_ends() {
    on_both_databases(rotating_slack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etsy_lives_and_says_that_it_cannot_be_revoked() {
    on_both_databases(etsy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shopify_lives_and_ends() {
    on_both_databases(shopify).await;
}
