//! Shopify: a signed callback, tokens that expire on request, a second chance for a lost
//! answer, GraphQL for the shop.

use patchbay_sandbox::RunningSandbox;
use serde_json::{Value, json};

use super::{BACK, code, in_query, post_form, post_json, refusal, text};
use crate::http::{Answer, control, send};
use crate::small;

const TOKEN: &str = "/shopify/admin/oauth/access_token";
const TEST: &str = "{shop{id name myshopifyDomain} currentAppInstallation{accessScopes{handle}}}";

fn client() -> Value {
    json!({"client_id": "sandbox-shopify", "client_secret": "sandbox-shopify-secret"})
}

fn with(more: Value) -> Value {
    let mut body = client();
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

async fn granted(sandbox: &RunningSandbox) -> Value {
    let code = code(sandbox, "shopify", json!({"redirect_uri": BACK})).await;
    let body = with(json!({"code": code, "expiring": "1"}));
    let answer = post_json(sandbox, TOKEN, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn refresh(sandbox: &RunningSandbox, token: &str) -> Answer {
    let body = with(json!({"grant_type": "refresh_token", "refresh_token": token}));
    post_json(sandbox, TOKEN, &body).await
}

async fn graphql(sandbox: &RunningSandbox, token: &str, query: &str) -> Answer {
    let headers = [
        ("x-shopify-access-token", token),
        ("content-type", "application/json"),
    ];
    let head = "POST /shopify/admin/api/2026-10/graphql.json";
    let body = json!({ "query": query }).to_string();
    send(sandbox, head, &headers, &body).await
}

#[tokio::test]
async fn the_callback_names_the_shop_and_is_signed() {
    let sandbox = small().await;
    let consent = json!({"parameters": {"redirect_uri": BACK, "state": "s", "scope": "read_products"},
        "answer": {"account": "corner-bakery.myshopify.com"}});
    let given = control(&sandbox, "POST /shopify/consent", consent)
        .await
        .json();
    let redirect = text(&given, "redirect");
    let get = |name: &str| in_query(&redirect, name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(get("shop"), "corner-bakery.myshopify.com");
    assert_eq!(
        get("timestamp"),
        (sandbox.clock.now_ms() / 1000).to_string()
    );
    let hmac = get("hmac");
    assert!(hmac.len() == 64 && hmac.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(redirect.ends_with(&format!("&hmac={hmac}")));
}

#[tokio::test]
async fn a_token_expires_only_where_the_client_asks_for_it() {
    let sandbox = small().await;
    let code = code(
        &sandbox,
        "shopify",
        json!({"redirect_uri": BACK, "scope": "read_products"}),
    )
    .await;
    let form = [
        ("client_id", "sandbox-shopify"),
        ("client_secret", "sandbox-shopify-secret"),
        ("code", code.as_str()),
    ];
    let lasting = post_form(&sandbox, TOKEN, &form).await.json();
    assert_eq!(text(&lasting, "scope"), "read_products");
    assert!(lasting.get("expires_in").is_none() && lasting.get("refresh_token").is_none());
    let again = post_form(&sandbox, TOKEN, &form).await;
    assert_eq!(
        (again.status, refusal(&again).1.as_str()),
        (400, "invalid_request")
    );

    let expiring = granted(&sandbox).await;
    assert_eq!(expiring["expires_in"], 3600);
    assert_eq!(expiring["refresh_token_expires_in"], 7_776_000);
    sandbox.clock.advance_ms(3_600_000);
    let dead = graphql(&sandbox, &text(&expiring, "access_token"), TEST).await;
    assert_eq!(dead.status, 401);
    let token = text(&expiring, "refresh_token");
    let fresh = refresh(&sandbox, &token).await.json();
    let answer = graphql(&sandbox, &text(&fresh, "access_token"), TEST).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_replaced_refresh_token_works_until_its_replacement_is_used() {
    let sandbox = small().await;
    let first = text(&granted(&sandbox).await, "refresh_token");
    let lost = refresh(&sandbox, &first).await;
    assert_eq!(lost.status, 200);
    // The answer was lost: the old one still works, for thirty days.
    sandbox.clock.advance_ms(29 * 24 * 60 * 60 * 1000);
    let second = refresh(&sandbox, &first).await.json();
    let second = text(&second, "refresh_token");
    let third = refresh(&sandbox, &second).await;
    assert_eq!(third.status, 200);
    // Now the first is a replay.
    let dead = refresh(&sandbox, &first).await;
    let (status, error, description) = refusal(&dead);
    assert_eq!(
        (status, error.as_str(), description.as_str()),
        (
            401,
            "invalid_request",
            "This request requires an active refresh_token"
        )
    );
    let third = text(&third.json(), "refresh_token");
    assert_eq!(refresh(&sandbox, &third).await.status, 401);

    let old = text(&granted(&sandbox).await, "refresh_token");
    assert_eq!(refresh(&sandbox, &old).await.status, 200);
    sandbox.clock.advance_ms(30 * 24 * 60 * 60 * 1000);
    assert_eq!(refresh(&sandbox, &old).await.status, 401);
}

#[tokio::test]
async fn graphql_answers_what_it_has_and_refuses_the_rest_with_200() {
    let sandbox = small().await;
    let token = text(&granted(&sandbox).await, "access_token");
    let answer = graphql(&sandbox, &token, TEST).await;
    assert!(answer.head.contains("x-shopify-api-version: 2026-10"));
    let data = &answer.json()["data"];
    assert_eq!(
        data["shop"]["myshopifyDomain"],
        "harvest-bistro.myshopify.com"
    );
    let scopes = &data["currentAppInstallation"]["accessScopes"];
    assert_eq!(scopes[0], json!({"handle": "read_products"}));
    for (query, code) in [
        ("{shop{owner}}", "undefinedField"),
        ("{shop}", "selectionMismatch"),
    ] {
        let refused = graphql(&sandbox, &token, query).await;
        assert_eq!(refused.status, 200);
        assert_eq!(refused.json()["errors"][0]["extensions"]["code"], code);
    }
    for token in ["", "shpat_x"] {
        let refused = graphql(&sandbox, token, TEST).await;
        assert_eq!(refused.status, 401);
        assert!(text(&refused.json(), "errors").starts_with("[API] Invalid API key"));
    }
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let body = json!({ "query": TEST }).to_string();
    for (path, status) in [("2026-10", 401), ("2026-09", 404)] {
        let head = format!("POST /shopify/admin/api/{path}/graphql.json");
        assert_eq!(send(&sandbox, &head, &headers, &body).await.status, status);
    }
}

#[tokio::test]
async fn an_uninstall_ends_everything_in_either_way() {
    let sandbox = small().await;
    let (one, two) = (granted(&sandbox).await, granted(&sandbox).await);
    let (token, other) = (text(&one, "access_token"), text(&two, "access_token"));
    let mutation = "mutation { appUninstall { app { id } userErrors { field message } } }";
    let answer = graphql(&sandbox, &token, mutation).await.json();
    assert_eq!(answer["data"]["appUninstall"]["userErrors"], json!([]));
    assert_eq!(graphql(&sandbox, &other, TEST).await.status, 401);
    assert_eq!(
        refresh(&sandbox, &text(&two, "refresh_token")).await.status,
        401
    );

    let token = text(&granted(&sandbox).await, "access_token");
    let headers = [("x-shopify-access-token", token.as_str())];
    let head = "DELETE /shopify/admin/api_permissions/current.json";
    assert_eq!(send(&sandbox, head, &headers, "").await.status, 200);
    assert_eq!(send(&sandbox, head, &headers, "").await.status, 401);
}
