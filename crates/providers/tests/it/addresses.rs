//! Addresses of consents, and what config may not make of them.

use patchbay_providers::{
    Registry,
    oauth::{OauthPlace, consent_url},
};
use serde_json::{Value, json};
use url::Url;

use crate::token_server::place;

fn at_home(provider: &str, config: Value) -> Option<OauthPlace> {
    let registry = Registry::builtin();
    let provider = registry.get(provider).expect("it is there");
    let config = provider.manifest().check_config(&config).unwrap_or(config);
    registry.oauth(&**provider, &config)
}

fn url(place: &OauthPlace, scopes: &[&str], challenge: Option<&str>) -> String {
    let redirect_uri = Url::parse("https://app.example/api/callback/x").expect("an address");
    let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    consent_url(
        place,
        "our client",
        &redirect_uri,
        "st+te",
        &scopes,
        challenge,
    )
    .into()
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("an address");
    let mut found = url.query_pairs().filter(|(one, _)| one == name);
    let value = found.next().map(|(_, value)| value.into_owned());
    assert!(found.next().is_none(), "{name} comes twice");
    value
}

#[test]
fn a_consent_asks_in_the_provider_s_own_way() {
    let google = at_home("google_drive", json!({})).expect("a consent");
    let asked = url(&google, &["a", "b"], Some("ch4llenge"));
    assert!(
        asked.starts_with("https://accounts.google.com/o/oauth2/v2/auth?"),
        "{asked}"
    );
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "our client"),
        ("redirect_uri", "https://app.example/api/callback/x"),
        ("state", "st+te"),
        ("scope", "a b"),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("code_challenge", "ch4llenge"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(
            parameter(&asked, name).as_deref(),
            Some(value),
            "{name} of {asked}"
        );
    }
    // A plus would be a space in a form, and Etsy documents `%20`.
    assert!(
        asked.contains("scope=a%20b") && asked.contains("st%2Bte"),
        "{asked}"
    );
    assert_eq!(
        google.issuer.as_deref(),
        Some("https://accounts.google.com")
    );

    let slack = at_home("slack", json!({})).expect("a consent");
    let asked = url(&slack, &["channels:read", "chat:write"], None);
    assert_eq!(
        parameter(&asked, "scope").as_deref(),
        Some("channels:read,chat:write")
    );
    assert_eq!(parameter(&asked, "code_challenge"), None);
}

#[test]
fn square_asks_for_a_new_login_in_production_only() {
    let asked = |environment| {
        let place = at_home("square", json!({ "environment": environment })).expect("a consent");
        url(&place, &["ITEMS_READ"], None)
    };
    let production = asked("production");
    assert!(production.starts_with("https://connect.squareup.com/oauth2/authorize?"));
    assert_eq!(parameter(&production, "session").as_deref(), Some("false"));
    let sandbox = asked("sandbox");
    assert!(sandbox.starts_with("https://connect.squareupsandbox.com/oauth2/authorize?"));
    assert_eq!(parameter(&sandbox, "session"), None);
}

#[test]
fn a_shop_has_its_own_host_and_nothing_else_is_taken_for_one() {
    let shop = |shop: &str| at_home("shopify", json!({ "shop": shop }));
    let place = shop("demo-1.myshopify.com").expect("a consent");
    assert_eq!(
        place.token.as_str(),
        "https://demo-1.myshopify.com/admin/oauth/access_token"
    );
    assert_eq!(
        place.revoke.as_ref().map(Url::as_str),
        Some("https://demo-1.myshopify.com/admin/api_permissions/current.json")
    );
    assert_eq!(place.origins.len(), 1);
    assert_eq!(place.origins[0].to_string(), "https://demo-1.myshopify.com");

    let registry = Registry::builtin();
    let manifest = registry.get("shopify").expect("it is there").manifest();
    for evil in [
        "",
        "evil.example",
        "myshopify.com",
        ".myshopify.com",
        "demo.myshopify.com.evil.example",
        "demo.myshopify.com/..",
        "demo.myshopify.com:8443",
        "demo.myshopify.com\n",
        "evil.example/demo.myshopify.com",
        "evil.example#demo.myshopify.com",
        "evil.example\\demo.myshopify.com",
        "user@demo.myshopify.com",
        "demo.evil.example.myshopify.com",
        "demomyshopify.com",
        "Demo.myshopify.com",
        "127.0.0.1",
        "{base}.myshopify.com",
        "démo.myshopify.com",
    ] {
        let config = json!({ "shop": evil });
        assert!(manifest.check_config(&config).is_err(), "{evil}");
        // Also where nobody has checked it.
        assert!(shop(evil).is_none(), "{evil}");
        assert_eq!(manifest.base_url(&config), None, "{evil}");
        assert!(manifest.credential_origins(&config).is_empty(), "{evil}");
    }
    assert!(manifest.check_config(&json!({})).is_err());
    assert!(shop("demo.myshopify.com").is_some());
}

#[test]
fn an_operator_s_address_replaces_what_is_before_the_path() {
    let place = place("google_drive", "http://127.0.0.1:4600/google/");
    assert_eq!(
        place.authorize.as_str(),
        "http://127.0.0.1:4600/google/o/oauth2/v2/auth"
    );
    assert_eq!(place.token.as_str(), "http://127.0.0.1:4600/google/token");
    assert_eq!(
        place.revoke.as_ref().map(Url::as_str),
        Some("http://127.0.0.1:4600/google/revoke")
    );
    assert_eq!(
        place.issuer.as_deref(),
        Some("http://127.0.0.1:4600/google")
    );
    assert_eq!(place.origins.len(), 1);
    assert_eq!(place.origins[0].to_string(), "http://127.0.0.1:4600");
}

#[test]
fn scopes_are_asked_for_by_capability_and_compared_with_what_was_granted() {
    let registry = Registry::builtin();
    let square = registry.get("square").expect("it is there").manifest();
    let asked = |capabilities: &[&str]| {
        let capabilities: Vec<String> = capabilities.iter().map(|it| (*it).to_owned()).collect();
        square.scopes_for(Some(&capabilities))
    };
    assert_eq!(square.scopes_for(None).len(), 5);
    assert_eq!(asked(&["sync_catalog"]), ["ITEMS_READ"]);
    assert_eq!(
        asked(&["sync_sales"]),
        ["MERCHANT_PROFILE_READ", "ORDERS_READ"]
    );
    let granted = ["MERCHANT_PROFILE_READ".to_owned(), "ITEMS_READ".to_owned()];
    let missing = square.shortfall(&granted);
    let keys: Vec<&str> = missing.keys().map(String::as_str).collect();
    assert_eq!(keys, ["sync_customers", "sync_inventory", "sync_sales"]);
    assert_eq!(missing["sync_sales"], ["ORDERS_READ"]);
    assert!(square.shortfall(&square.scopes_for(None)).is_empty());
    // What no capability claims is asked for whatever is wanted.
    let slack = registry.get("slack").expect("it is there").manifest();
    assert_eq!(slack.scopes_for(Some(&[])), ["team:read"]);
}
