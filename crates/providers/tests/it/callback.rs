//! Callbacks that are signed: Shopify's.

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{failure::FailureKind, secret::Secret};
use patchbay_providers::{
    ProviderError,
    oauth::{OauthClient, challenge_of, check_callback, pkce},
};
use serde_json::{Value, json};

use crate::token_server::{client, place};

/// Made with Shopify's own library, and accepted by it.
const SECRET: &str = "shpss_test_secret_0123456789abcdef";
const QUERY: [(&str, &str); 6] = [
    ("state", "0.6784241404160823"),
    ("code", "0907a61c0c8d55e99db179b68161bc00"),
    (
        "hmac",
        "5a3b713304ba010d18ca7a6f57e807e253737576b1312931e7685166faebbf1d",
    ),
    ("timestamp", "1768478400"),
    ("host", "YWRtaW4uc2hvcGlmeS5jb20vc3RvcmUvZGVtbw"),
    ("shop", "demo.myshopify.com"),
];

fn made() -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_478_400, 0).expect("a time")
}

fn query() -> Vec<(String, String)> {
    QUERY
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn shop(name: &str) -> Value {
    json!({ "shop": name })
}

fn check(
    query: &[(String, String)],
    config: &Value,
    now: DateTime<Utc>,
) -> Result<(), ProviderError> {
    let client = OauthClient {
        id: "id".into(),
        secret: Some(Secret::new(SECRET)),
    };
    let place = place("shopify", "https://stand-in.example");
    check_callback(&place, &client, query, config, now)
}

#[test]
fn the_official_vector_is_accepted_within_its_ninety_seconds() {
    let demo = shop("demo.myshopify.com");
    for seconds in [-90, -1, 0, 90] {
        let now = made() + TimeDelta::seconds(seconds);
        assert_eq!(check(&query(), &demo, now), Ok(()), "{seconds}");
    }
    for seconds in [-91, 91, 86_400] {
        let now = made() + TimeDelta::seconds(seconds);
        let error = check(&query(), &demo, now).expect_err("too old");
        assert_eq!(error.kind, FailureKind::Auth);
    }
    // `signature`, an older proof, is not signed.
    let mut with_signature = query();
    with_signature.push(("signature".into(), "x".into()));
    assert_eq!(check(&with_signature, &demo, made()), Ok(()));
}

#[test]
fn whatever_is_changed_breaks_it() {
    let demo = shop("demo.myshopify.com");
    for at in 0..QUERY.len() {
        let mut changed = query();
        changed[at].1.push('x');
        assert!(check(&changed, &demo, made()).is_err(), "{}", changed[at].0);
        let mut missing = query();
        missing.remove(at);
        assert!(
            check(&missing, &demo, made()).is_err(),
            "no {}",
            QUERY[at].0
        );
        let mut doubled = query();
        doubled.push(doubled[at].clone());
        assert!(
            check(&doubled, &demo, made()).is_err(),
            "two {}",
            QUERY[at].0
        );
    }
    let mut more = query();
    more.push(("more".into(), "1".into()));
    assert!(check(&more, &demo, made()).is_err());
    let mut shouted = query();
    shouted[2].1 = shouted[2].1.replace("5a", "+a");
    assert!(check(&shouted, &demo, made()).is_err());
}

#[test]
fn another_shop_s_answer_is_refused_though_it_is_signed() {
    for config in [shop("other.myshopify.com"), json!({})] {
        let error = check(&query(), &config, made()).expect_err("another shop");
        assert!(error.message.contains("another shop"), "{error}");
    }
}

#[test]
fn a_client_without_secret_or_with_another_checks_nothing() {
    let place = place("shopify", "https://stand-in.example");
    let demo = shop("demo.myshopify.com");
    let mut other = client();
    let error = check_callback(&place, &other, &query(), &demo, made()).expect_err("refused");
    assert_eq!(error.kind, FailureKind::Auth);
    other.secret = None;
    let error = check_callback(&place, &other, &query(), &demo, made()).expect_err("refused");
    assert_eq!(error.kind, FailureKind::Internal);
}

#[test]
fn other_providers_prove_nothing_here() {
    for provider in ["square", "google_drive", "slack", "etsy"] {
        let place = place(provider, "https://stand-in.example");
        assert_eq!(
            check_callback(&place, &client(), &[], &json!({}), made()),
            Ok(())
        );
    }
}

#[test]
fn the_proof_key_is_that_of_rfc_7636() {
    let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(
        challenge_of(&verifier),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
    let (challenge, verifier) = pkce();
    assert_eq!(challenge_of(&verifier), challenge);
    assert!((43..=128).contains(&verifier.expose().len()));
    assert_ne!(pkce().1, verifier);
}
