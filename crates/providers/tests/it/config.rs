//! What a person fills in, checked against Square's manifest.

use patchbay_core::secret::{Secret, SecretFields};
use patchbay_providers::{FieldError, Manifest, Registry};
use serde_json::{Value, json};
use std::sync::Arc;

fn square() -> Arc<dyn patchbay_providers::Provider> {
    Arc::clone(Registry::builtin().get("square").expect("square is there"))
}

fn secret(fields: &[(&str, &str)]) -> SecretFields {
    SecretFields(
        fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Secret::new(*text)))
            .collect(),
    )
}

fn refused(config: &Value, secret: &SecretFields) -> Vec<(String, String)> {
    let errors = square()
        .manifest()
        .check(config, secret)
        .expect_err("refused");
    errors
        .into_iter()
        .map(|FieldError { pointer, message }| (pointer, message))
        .collect()
}

#[test]
fn a_good_config_gets_its_defaults() {
    let checked = square()
        .manifest()
        .check(&json!({}), &secret(&[("access_token", "t0ken")]))
        .expect("good");
    assert_eq!(checked.config, json!({ "environment": "production" }));
    assert_eq!(
        checked.secret.get("access_token").map(Secret::expose),
        Some("t0ken")
    );
}

#[test]
fn every_field_error_comes_at_once_with_its_pointer() {
    let config = json!({
        "environment": "moon",
        "location_ids": ["L1", 7, ""],
        "access_token": "in the wrong place",
        "a/b~c": 1,
    });
    let errors = refused(&config, &secret(&[("environment", "x"), ("pin", "s3cr3t")]));
    let pointers: Vec<&str> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/config/access_token",
            "/config/a~1b~0c",
            "/config/environment",
            "/config/location_ids/1",
            "/config/location_ids/2",
            "/secret/access_token",
            "/secret/environment",
            "/secret/pin",
        ]
    );
    let words = format!("{errors:?}");
    assert!(
        words.contains("must be one of: production, sandbox"),
        "{words}"
    );
    for value in ["moon", "wrong place", "s3cr3t"] {
        assert!(!words.contains(value), "{words}");
    }
}

#[test]
fn what_is_no_object_and_what_is_empty_is_refused() {
    let errors = refused(&json!([]), &secret(&[("access_token", "")]));
    assert_eq!(
        errors,
        [
            ("/config".to_owned(), "must be an object".to_owned()),
            (
                "/secret/access_token".to_owned(),
                "must not be empty".to_owned()
            ),
        ]
    );
}

#[test]
fn the_environment_chooses_the_host_that_may_see_the_token() {
    let provider = square();
    let manifest = provider.manifest();
    let host = |config: Value| manifest.base_url(&config).expect("an address").to_string();
    assert_eq!(host(json!({})), "https://connect.squareup.com/");
    assert_eq!(
        host(json!({ "environment": "sandbox" })),
        "https://connect.squareupsandbox.com/"
    );
}

#[test]
fn a_provider_of_consents_takes_no_credential_by_hand() {
    let registry = Registry::builtin();
    let drive = registry
        .get("google_drive")
        .expect("it is there")
        .manifest();
    for given in [secret(&[]), secret(&[("access_token", "t0ken")])] {
        let errors = drive.check(&json!({}), &given).expect_err("refused");
        assert_eq!(errors[0].pointer, "/secret");
        assert!(errors[0].message.contains("by consent"), "{errors:?}");
    }
    assert_eq!(
        drive.check_config(&json!({})),
        Ok(json!({ "shared_drives": true }))
    );
    assert!(
        drive
            .check_config(&json!({ "shared_drives": "yes" }))
            .is_err()
    );
    // Square has both ways in.
    let square = square();
    assert!(square.manifest().takes_credential() && square.manifest().takes_consent());
    let config = square.manifest().check_config(&json!({}));
    assert_eq!(config, Ok(json!({ "environment": "production" })));
}

#[test]
fn the_gallery_shows_a_json_schema_that_marks_the_secret() {
    let shown = serde_json::to_value(square().manifest()).expect("serializes");
    assert_eq!(shown["config"]["type"], "object");
    assert_eq!(shown["config"]["additionalProperties"], false);
    assert_eq!(
        shown["config"]["properties"]["access_token"]["x-secret"],
        true
    );
    assert_eq!(
        shown["config"]["properties"]["location_ids"]["items"],
        json!({ "type": "string", "minLength": 1, "maxLength": 64 })
    );
    assert_eq!(
        shown["streams"][1]["modes"],
        json!(["incremental", "range", "full"])
    );
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused_with_the_reason() {
    let good = include_str!("../../src/square/manifest.toml");
    assert!(Manifest::parse(good).is_ok());
    for (from, to, reason) in [
        ("key = \"square\"", "key = \"Square One\"", "is no key"),
        (
            "base_url = \"https://connect.squareup.com\"",
            "base_url = \"http://connect.squareup.com\"",
            "is not https",
        ),
        (
            "hosts = [\"connect.squareup.com\"]",
            "hosts = [\"squareup.com\"]",
            "not among its hosts",
        ),
        (
            "endpoint_field = \"environment\"",
            "endpoint_field = \"region\"",
            "no field of config",
        ),
        (
            "required = [\"access_token\"]",
            "required = [\"token\"]",
            "not declared",
        ),
        (
            "default = \"production\"",
            "default = \"moon\"",
            "must be one of",
        ),
        (
            "capability = \"sync_catalog\"",
            "capability = \"sync_katalog\"",
            "is not declared",
        ),
        (
            "scopes = [\"ITEMS_READ\"]",
            "scopes = [\"ITEMS_WRITE\"]",
            "is not asked for",
        ),
        ("impact = ", "impakt = ", "unknown field"),
        (
            "kind = \"access_token\"",
            "kind = \"oauth\"",
            "contradict each other",
        ),
        (
            "authorize = \"{base}/oauth2/authorize\"",
            "authorize = \"http://connect.squareup.com/oauth2/authorize\"",
            "is not https",
        ),
        (
            "token = \"{base}/oauth2/token\"",
            "token = \"{base}/{shop}/token\"",
            "`shop` in",
        ),
        (
            "token = \"{base}/oauth2/token\"",
            "token = \"https://{location_ids}/token\"",
            "must be a text with a pattern",
        ),
        (
            "consent_parameters = { session = \"false\" }",
            "consent_parameters = { state = \"x\" }",
            "belongs to the flow",
        ),
        (
            "client = \"body\"",
            "client = \"body\"\nauthorize_parameters = { redirect_uri = \"x\" }",
            "belongs to the flow",
        ),
        (
            "client = \"body\"",
            "client = \"body\"\nissuer_advertised = true",
            "none is named",
        ),
        (
            "later = [\"too_many_requests\", \"RATE_LIMITED\"]",
            "later = [\"UNAUTHORIZED\"]",
            "listed twice",
        ),
        (
            "{ \"Square-Version\" = \"2025-08-20\" }",
            "{ \"Square Version\" = \"x\" }",
            "is malformed",
        ),
        (
            "maxLength = 1024",
            "maxLength = 1024\npattern = \"a+\"",
            "goes from `^` to `$`",
        ),
        (
            "[auth.oauth.revocation]",
            "[auth.oauth.long_lived]\naddress = \"http://x.example/\"\ngrant_type = \"x\"\n[auth.oauth.revocation]",
            "is not https",
        ),
        (
            "[auth.oauth.revocation]",
            "[auth.oauth.long_lived]\naddress = \"{base}/long\"\ngrant_type = \"\"\n[auth.oauth.revocation]",
            "empty name",
        ),
        (
            "[auth.oauth.revocation]",
            "[auth.oauth.long_lived]\naddress = \"{base}/long\"\ngrant_type = \"x\"\n\
             client_secret_parameter = \"access_token\"\n[auth.oauth.revocation]",
            "said twice",
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Manifest::parse(&good.replacen(from, to, 1)).expect_err(reason);
        assert!(error.problem.contains(reason), "{error}");
    }
}
