//! The whole life of a grant at every provider's stand-in, and what is refused on the way.

use patchbay_core::{
    clock::{Clock, SystemClock},
    failure::FailureKind,
    secret::{Secret, SecretFields},
};
use patchbay_providers::{
    Registry,
    oauth::{ClientAuth, Grant, RefreshTokens, TokenError, check_callback},
};
use patchbay_sandbox::{Effect, Fault, oauth::Kind, slack};

use crate::stand_in::{Callback, StandIn, client};

fn with_consent() -> Vec<String> {
    let registry = Registry::builtin();
    let keys: Vec<String> = registry
        .all()
        .filter(|provider| provider.manifest().takes_consent())
        .map(|provider| provider.manifest().key.clone())
        .collect();
    assert_eq!(keys, ["etsy", "google_drive", "shopify", "slack", "square"]);
    keys
}

/// What is stored after a refresh.
fn merged(old: &SecretFields, new: Grant) -> SecretFields {
    let mut fields = old.clone();
    fields.0.extend(new.fields.0);
    fields
}

async fn works(at: &StandIn, fields: &SecretFields) -> Result<String, FailureKind> {
    let session = at.session_of(fields.clone(), at.config.clone());
    let account = at.provider().test(&session).await;
    account
        .map(|account| account.key)
        .map_err(|error| error.kind)
}

#[tokio::test]
async fn every_consent_becomes_a_grant_that_opens_renews_and_ends() {
    for key in with_consent() {
        let at = StandIn::unconnected(&key).await;
        let callback = at.agree().await;
        assert_eq!(callback.get("state"), "st4te", "{key}");
        let checked = check_callback(
            &at.place(),
            &at.client,
            &callback.query,
            &at.config,
            SystemClock.now(),
        );
        assert_eq!(checked, Ok(()), "{key}");
        let grant = at
            .exchange(&callback)
            .await
            .unwrap_or_else(|error| panic!("{key}: {error:?}"));
        let wanted = at.provider().manifest().scopes_for(None);
        let granted = grant.scopes.clone().unwrap_or(wanted);
        assert!(
            at.provider().manifest().shortfall(&granted).is_empty(),
            "{key}"
        );
        assert!(
            grant.expires_at.is_some_and(|end| end > SystemClock.now()),
            "{key}"
        );
        let account = works(&at, &grant.fields)
            .await
            .expect("it opens the account");

        let mut fields = grant.fields;
        let first = fields.clone();
        for _ in 0..3 {
            let renewed = at
                .refresh(&fields)
                .await
                .unwrap_or_else(|error| panic!("{key}: {error:?}"));
            assert_ne!(
                renewed.fields.get("access_token"),
                fields.get("access_token"),
                "{key}"
            );
            fields = merged(&fields, renewed);
            assert_eq!(works(&at, &fields).await, Ok(account.clone()), "{key}");
        }
        let has_rotated = fields.get("refresh_token") != first.get("refresh_token");
        let rotates = at.place().rules.refresh_tokens == RefreshTokens::Rotated;
        assert_eq!(has_rotated, rotates, "{key}");

        at.revoke(&fields)
            .await
            .unwrap_or_else(|error| panic!("{key}: {error:?}"));
        if at.place().revoke.is_some() {
            assert_eq!(works(&at, &fields).await, Err(FailureKind::Auth), "{key}");
            let renewed = at.refresh(&fields).await;
            assert!(
                matches!(renewed, Err(TokenError::Refused(_))),
                "{key}: {renewed:?}"
            );
            // What has ended before has ended.
            assert_eq!(at.revoke(&fields).await, Ok(()), "{key}");
        } else {
            assert_eq!(key, "etsy", "who has no revocation says so in the manifest");
        }
    }
}

#[tokio::test]
async fn a_replaced_refresh_token_is_refused_where_they_rotate() {
    for key in with_consent() {
        let at = StandIn::unconnected(&key).await;
        let first = at.connect().await.fields;
        let second = merged(&first, at.refresh(&first).await.expect("renewed"));
        let third = merged(&second, at.refresh(&second).await.expect("renewed again"));
        let replayed = at.refresh(&first).await;
        match at.place().rules.refresh_tokens {
            RefreshTokens::Rotated => {
                let error = match replayed {
                    Err(TokenError::Refused(error)) => error,
                    other => panic!("{key}: {other:?}"),
                };
                assert_eq!(error.kind, FailureKind::Auth, "{key}");
            }
            RefreshTokens::Kept => assert!(replayed.is_ok(), "{key}: {replayed:?}"),
            RefreshTokens::None => panic!("{key} has none"),
        }
        assert!(third.get("refresh_token").is_some());
    }
}

#[tokio::test]
async fn a_code_works_once() {
    for key in with_consent() {
        let at = StandIn::unconnected(&key).await;
        let callback = at.agree().await;
        at.exchange(&callback).await.expect("a grant");
        let again = at.exchange(&callback).await;
        assert!(
            matches!(again, Err(TokenError::Refused(_))),
            "{key}: {again:?}"
        );
        let invented = Callback {
            query: vec![("code".into(), "1nvented".into())],
            verifier: callback.verifier,
        };
        let error = at.exchange(&invented).await.expect_err("no such code");
        assert!(matches!(error, TokenError::Refused(_)), "{key}: {error:?}");
        assert!(
            !format!("{error:?}").contains("1nvented"),
            "{key}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_client_is_the_operator_s_matter_and_breaks_no_grant() {
    for key in with_consent() {
        let mut at = StandIn::unconnected(&key).await;
        if at.place().rules.client == ClientAuth::None {
            continue;
        }
        let fields = at.connect().await.fields;
        let right = at.client.clone();
        at.client.secret = Some(Secret::new("wr0ng"));
        let renewed = at.refresh(&fields).await;
        assert!(
            matches!(renewed, Err(TokenError::Misconfigured(_))),
            "{key}: {renewed:?}"
        );
        assert!(!format!("{renewed:?}").contains("wr0ng"));
        at.client.secret = None;
        let renewed = at.refresh(&fields).await;
        assert!(
            matches!(renewed, Err(TokenError::Misconfigured(_))),
            "{key}: {renewed:?}"
        );
        at.client = right;
        assert!(
            at.refresh(&fields).await.is_ok(),
            "{key}: the grant lives on"
        );
    }
}

#[tokio::test]
async fn a_wrong_verifier_is_refused_where_a_challenge_was_sent() {
    for key in ["etsy", "google_drive"] {
        let at = StandIn::unconnected(key).await;
        for verifier in [
            None,
            Some(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")),
        ] {
            let mut callback = at.agree().await;
            callback.verifier = verifier;
            let outcome = at.exchange(&callback).await;
            assert!(outcome.is_err(), "{key}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn an_expired_access_token_does_not_keep_a_grant_from_ending() {
    for key in with_consent() {
        let at = StandIn::unconnected(&key).await;
        let fields = at.connect().await.fields;
        assert!(at.books().expire(None, Kind::Access) > 0, "{key}");
        assert_eq!(works(&at, &fields).await, Err(FailureKind::Auth), "{key}");
        assert_eq!(at.revoke(&fields).await, Ok(()), "{key}");
        if at.place().revoke.is_some() {
            let renewed = at.refresh(&fields).await;
            assert!(
                matches!(renewed, Err(TokenError::Refused(_))),
                "{key}: a grant lives on: {renewed:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_the_owner_takes_back_is_refused_for_good() {
    for key in with_consent() {
        let at = StandIn::unconnected(&key).await;
        let fields = at.connect().await.fields;
        assert_eq!(at.books().take_back(None), 1, "{key}");
        assert_eq!(works(&at, &fields).await, Err(FailureKind::Auth), "{key}");
        let renewed = at.refresh(&fields).await;
        assert!(
            matches!(renewed, Err(TokenError::Refused(_))),
            "{key}: {renewed:?}"
        );
    }
}

#[tokio::test]
async fn a_revocation_with_a_token_that_nobody_else_has_is_said_again() {
    let at = StandIn::unconnected("shopify").await;
    let fields = at.connect().await.fields;
    at.books().expire(None, Kind::Access);
    // The first call finds the token expired; the next two, with a renewed one, meet a fault.
    let endpoint = "DELETE /shopify/admin/api_permissions/current.json";
    let fault = Fault::at(endpoint, Effect::ServerError { status: 503 });
    let fault = fault.after(1).times(2);
    at.sandbox.faults.add(fault).expect("a fault");
    assert_eq!(at.revoke(&fields).await, Ok(()));
    assert_eq!(at.sandbox.requests.count(endpoint), 4);
    let renewed = at.refresh(&fields).await;
    assert!(
        matches!(renewed, Err(TokenError::Refused(_))),
        "{renewed:?}"
    );
}

#[tokio::test]
async fn etsy_wants_our_key_with_every_call_and_says_so_without_it() {
    let mut at = StandIn::unconnected("etsy").await;
    let fields = at.connect().await.fields;
    assert_eq!(works(&at, &fields).await, Ok("81234567".to_owned()));
    at.client.secret = Some(Secret::new("wr0ng"));
    assert_eq!(works(&at, &fields).await, Err(FailureKind::Internal));
    at.client.secret = None;
    assert_eq!(works(&at, &fields).await, Err(FailureKind::Internal));
}

#[tokio::test]
async fn etsy_tells_what_the_token_may_do() {
    let etsy = StandIn::unconnected("etsy").await;
    let grant = etsy.connect().await;
    assert_eq!(grant.scopes, None, "its answer to a code does not say it");
    let session = etsy.session_of(grant.fields, etsy.config.clone());
    let account = etsy.provider().test(&session).await.expect("an account");
    assert_eq!(account.scopes, Some(vec!["shops_r".to_owned()]));
    assert_eq!(account.name, "Etsy shop 23456789");
}

/// An app of Slack's without token rotation: no expiry, no refresh token, one end.
#[tokio::test]
async fn a_grant_of_slack_without_rotation_opens_for_good_and_ends() {
    let mut at = StandIn::unconnected("slack").await;
    at.client = client(slack::oauth::CLIENT_ID);
    let grant = at.connect().await;
    assert_eq!(grant.expires_at, None);
    assert_eq!(grant.fields.get("refresh_token"), None);
    assert_eq!(grant.scopes, Some(vec!["team:read".to_owned()]));
    at.sandbox.clock.advance_ms(365 * 24 * 3_600_000);
    assert_eq!(
        works(&at, &grant.fields).await,
        Ok(slack::DEFAULT_TEAM.to_owned())
    );
    assert_eq!(at.revoke(&grant.fields).await, Ok(()));
    assert_eq!(works(&at, &grant.fields).await, Err(FailureKind::Auth));
    // What has ended before has ended, and nothing tries to renew it.
    assert_eq!(at.revoke(&grant.fields).await, Ok(()));
    assert_eq!(at.books().refresh_calls(), 0);
}

#[tokio::test]
async fn shopify_tells_what_the_token_may_do() {
    let shopify = StandIn::unconnected("shopify").await;
    let fields = shopify.connect().await.fields;
    let session = shopify.session_of(fields, shopify.config.clone());
    let account = shopify.provider().test(&session).await.expect("an account");
    assert_eq!(account.scopes, Some(vec!["read_products".to_owned()]));
    assert_eq!(account.name, "Harvest Bistro");
}
