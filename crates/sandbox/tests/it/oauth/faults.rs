//! A token endpoint that misbehaves.

use std::time::Duration;

use patchbay_sandbox::{Effect, Fault, RunningSandbox};
use serde_json::{Value, json};

use super::{BACK, CHALLENGE, code, encode, post_form, refusal, text};
use crate::http::{Answer, control, try_send};
use crate::small;

const TOKEN: &str = "/google/token";

fn form<'a>(grant: &'a str, name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", grant),
        (name, value),
        ("redirect_uri", BACK),
        ("client_id", "sandbox-google"),
        ("client_secret", "sandbox-google-secret"),
    ]
}

async fn exchange(sandbox: &RunningSandbox) -> Answer {
    let code = code(sandbox, "google", json!({"redirect_uri": BACK})).await;
    let form = form("authorization_code", "code", &code);
    post_form(sandbox, TOKEN, &form).await
}

async fn spoilt(effect: Effect) -> Answer {
    let sandbox = small().await;
    let fault = Fault::at("POST /google/token", effect);
    sandbox.faults.add(fault).expect("a valid fault");
    exchange(&sandbox).await
}

#[tokio::test]
async fn answers_are_redirected_spoilt_padded_and_rewritten() {
    let to = "http://127.0.0.1:1/".to_owned();
    let answer = spoilt(Effect::Redirect { to: to.clone() }).await;
    assert_eq!((answer.status, answer.location()), (302, to));

    let answer = spoilt(Effect::HugeBody { bytes: 70_000 }).await;
    assert!(answer.body.len() > 70_000);
    assert!(answer.json()["access_token"].is_string());

    let name = "access_token".to_owned();
    let answer = spoilt(Effect::RemoveField { name }).await;
    assert!(answer.json().get("access_token").is_none());

    for value in [json!(-5), json!(1e30), json!("3600"), json!(["x"])] {
        let name = "expires_in".to_owned();
        let effect = Effect::SetField {
            name,
            value: value.clone(),
        };
        assert_eq!(spoilt(effect).await.json()["expires_in"], value);
    }

    let (name, value) = ("access_token".to_owned(), json!("second"));
    let answer = spoilt(Effect::RepeatField { name, value }).await;
    assert_eq!(answer.text().matches("\"access_token\":").count(), 2);
    assert_eq!(answer.announced(), answer.body.len());
}

#[tokio::test]
async fn an_answer_lost_on_the_wire_leaves_the_grant_behind() {
    let sandbox = small().await;
    let code = code(&sandbox, "google", json!({"redirect_uri": BACK})).await;
    let fault = json!({"endpoint": "POST /google/token", "effect": "lost_answer", "times": 1});
    assert_eq!(control(&sandbox, "POST /faults", fault).await.status, 200);
    let body = encode(&form("authorization_code", "code", &code));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = try_send(&sandbox, "POST /google/token", &headers, &body).await;
    assert!(answer.is_none(), "{answer:?}");
    assert_eq!(sandbox.google.oauth.grants().len(), 1);
    // Asking again with the same code ends it.
    let again = post_form(&sandbox, TOKEN, &form("authorization_code", "code", &code)).await;
    assert_eq!(refusal(&again).1, "invalid_grant");
    assert!(sandbox.google.oauth.grants()[0].ended.is_some());
}

#[tokio::test]
async fn a_late_answer_was_processed_before_it_was_waited_for() {
    let sandbox = small().await;
    let late = Effect::LateAnswer { ms: 60_000 };
    let fault = Fault::at("POST /google/token", late);
    sandbox.faults.add(fault).expect("a valid fault");
    let code = code(&sandbox, "google", json!({"redirect_uri": BACK})).await;
    let form = form("authorization_code", "code", &code);
    let waiting = post_form(&sandbox, TOKEN, &form);
    let processed = async {
        while sandbox.google.oauth.grants().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answer = waiting => panic!("{answer:?} came before its time"),
        done = tokio::time::timeout(Duration::from_secs(30), processed) => {
            done.expect("the call is processed at once");
        }
    }
}

#[tokio::test]
async fn pkce_can_be_ignored_and_scopes_withheld() {
    let sandbox = small().await;
    for effect in [Effect::IgnorePkce, Effect::FewerScopes] {
        let fault = Fault::at("POST /google/token", effect);
        sandbox.faults.add(fault).expect("a valid fault");
    }
    let parameters = json!({"redirect_uri": BACK, "code_challenge": CHALLENGE,
        "code_challenge_method": "S256"});
    let code = code(&sandbox, "google", parameters).await;
    let answer = post_form(&sandbox, TOKEN, &form("authorization_code", "code", &code)).await;
    let scopes = text(&answer.json(), "scope");
    assert_eq!(scopes.split(' ').count(), 3, "{scopes}");
}

#[tokio::test]
async fn calls_that_a_fault_refused_have_arrived_all_the_same() {
    let sandbox = small().await;
    let limited = Effect::RateLimited {
        retry_after: Some(3),
    };
    let fault = Fault::at("POST /google/token", limited).times(2);
    sandbox.faults.add(fault).expect("a valid fault");
    for _ in 0..2 {
        let form = form("refresh_token", "refresh_token", "1//0none");
        let answer = post_form(&sandbox, TOKEN, &form).await;
        assert_eq!(answer.status, 429);
        assert!(answer.head.contains("retry-after: 3"));
    }
    assert_eq!(sandbox.google.oauth.refresh_calls(), 2);
    let calls = control(&sandbox, "GET /google/calls", Value::Null)
        .await
        .json();
    assert_eq!(
        calls,
        json!({"refresh_token": {"arrived": 2, "granted": 0, "refused": 0}})
    );
    control(&sandbox, "DELETE /google/calls", Value::Null).await;
    assert_eq!(sandbox.google.oauth.refresh_calls(), 0);
}

#[tokio::test]
async fn a_quota_is_reported_as_google_reports_it() {
    let sandbox = small().await;
    let issued = exchange(&sandbox).await.json();
    let reason = "userRateLimitExceeded".to_owned();
    let fault = Fault::at("/google/drive/*", Effect::QuotaExceeded { reason });
    sandbox.faults.add(fault).expect("a valid fault");
    let path = "/google/drive/v3/files";
    let answer = super::get_with(&sandbox, path, &text(&issued, "access_token")).await;
    let error = &answer.json()["error"]["errors"][0];
    assert_eq!(answer.status, 403);
    assert_eq!(error["domain"], "usageLimits");
    assert_eq!(error["reason"], "userRateLimitExceeded");
}
