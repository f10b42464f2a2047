//! Google: offline access, consent again, no rotation, one revocation for all.

use patchbay_sandbox::RunningSandbox;
use patchbay_sandbox::oauth::{GrantType, Kind};
use serde_json::{Value, json};

use super::{BACK, CHALLENGE, VERIFIER, code, get_with, post_form, post_json, refusal, text};
use crate::http::{Answer, control, send};
use crate::small;

const TOKEN: &str = "/google/token";
const CLIENT: [(&str, &str); 2] = [
    ("client_id", "sandbox-google"),
    ("client_secret", "sandbox-google-secret"),
];

async fn exchange(sandbox: &RunningSandbox, code: &str, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", BACK),
    ];
    form.extend(CLIENT);
    form.extend(more);
    post_form(sandbox, TOKEN, &form).await
}

async fn refresh(sandbox: &RunningSandbox, token: &str) -> Answer {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend(CLIENT);
    post_form(sandbox, TOKEN, &form).await
}

fn offline() -> Value {
    json!({"redirect_uri": BACK, "access_type": "offline", "prompt": "consent",
        "scope": "https://www.googleapis.com/auth/drive.readonly"})
}

async fn granted(sandbox: &RunningSandbox) -> Value {
    let code = code(sandbox, "google", offline()).await;
    let answer = exchange(sandbox, &code, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn about(sandbox: &RunningSandbox, token: &str) -> Answer {
    get_with(sandbox, "/google/drive/v3/about?fields=user", token).await
}

#[tokio::test]
async fn a_refresh_token_comes_with_offline_access_and_consent_only() {
    let sandbox = small().await;
    let online = code(&sandbox, "google", json!({"redirect_uri": BACK})).await;
    let first = exchange(&sandbox, &online, &[]).await.json();
    assert_eq!(first["expires_in"], 3599);
    assert_eq!(text(&first, "token_type"), "Bearer");
    assert!(first.get("refresh_token").is_none());
    let again = json!({"redirect_uri": BACK, "access_type": "offline"});
    let again = code(&sandbox, "google", again).await;
    let again = exchange(&sandbox, &again, &[]).await.json();
    assert!(again.get("refresh_token").is_none());
    let issued = granted(&sandbox).await;
    assert!(text(&issued, "refresh_token").starts_with("1//0"));
    let scope = text(&issued, "scope");
    assert_eq!(scope, "https://www.googleapis.com/auth/drive.readonly");
    let token = text(&issued, "access_token");
    assert_eq!(about(&sandbox, &token).await.status, 200);
}

#[tokio::test]
async fn a_refresh_gives_no_new_refresh_token_and_the_old_one_stays() {
    let sandbox = small().await;
    let issued = granted(&sandbox).await;
    let token = text(&issued, "refresh_token");
    sandbox.clock.advance_ms(3_600_000);
    let expired = about(&sandbox, &text(&issued, "access_token")).await;
    assert_eq!(expired.status, 401);
    assert_eq!(expired.json()["error"]["errors"][0]["reason"], "authError");
    for _ in 0..3 {
        let fresh = refresh(&sandbox, &token).await.json();
        assert!(fresh.get("refresh_token").is_none());
        let access = text(&fresh, "access_token");
        assert_eq!(about(&sandbox, &access).await.status, 200);
    }
    let calls = sandbox.google.oauth.token_calls();
    assert_eq!(calls[&GrantType::RefreshToken].granted, 3);
    assert_eq!(calls[&GrantType::AuthorizationCode].arrived, 1);
}

#[tokio::test]
async fn refusals_have_googles_words() {
    let sandbox = small().await;
    let code = code(&sandbox, "google", offline()).await;
    let form = |changed: &[(&'static str, &'static str)]| {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", BACK),
        ];
        form.extend(CLIENT);
        for (name, value) in changed {
            form.retain(|(key, _)| key != name);
            form.push((*name, *value));
        }
        form
    };
    for (changed, expected) in [
        (
            ("client_id", "x"),
            (401, "invalid_client", "The OAuth client was not found."),
        ),
        (
            ("client_secret", "x"),
            (
                401,
                "invalid_client",
                "The provided client secret is invalid.",
            ),
        ),
        (
            ("code", "4/0Ax"),
            (400, "invalid_grant", "Malformed auth code."),
        ),
        (
            ("redirect_uri", "http://127.0.0.1:7420/"),
            (400, "redirect_uri_mismatch", "Bad Request"),
        ),
        (
            ("code_verifier", VERIFIER),
            (
                400,
                "invalid_grant",
                "code_verifier or verifier is not needed.",
            ),
        ),
    ] {
        let answer = post_form(&sandbox, TOKEN, &form(&[changed])).await;
        let (status, error, description) = refusal(&answer);
        assert_eq!((status, error.as_str(), description.as_str()), expected);
    }
    let answer = post_form(&sandbox, TOKEN, &form(&[("grant_type", "password")])).await;
    assert_eq!(refusal(&answer).1, "unsupported_grant_type");
    let json = json!({"grant_type": "authorization_code", "code": code});
    assert_eq!(post_json(&sandbox, TOKEN, &json).await.status, 400);
    let mut doubled = form(&[]);
    doubled.push(("code", "other"));
    let answer = post_form(&sandbox, TOKEN, &doubled).await;
    assert_eq!(refusal(&answer).1, "invalid_request");
    assert_eq!(post_form(&sandbox, TOKEN, &form(&[])).await.status, 200);
    // Used: refused, and what it gave is gone.
    let (_, error, description) = refusal(&post_form(&sandbox, TOKEN, &form(&[])).await);
    assert_eq!(
        (error.as_str(), description.as_str()),
        ("invalid_grant", "Bad Request")
    );
    assert_eq!(sandbox.google.oauth.grants().len(), 1);
    assert!(sandbox.google.oauth.grants()[0].ended.is_some());
}

#[tokio::test]
async fn a_challenge_sent_must_be_answered() {
    let sandbox = small().await;
    let mut parameters = offline();
    parameters["code_challenge"] = CHALLENGE.into();
    parameters["code_challenge_method"] = "S256".into();
    let code = code(&sandbox, "google", parameters).await;
    let missing = exchange(&sandbox, &code, &[]).await;
    assert_eq!(refusal(&missing).2, "Missing code verifier.");
    let wrong = exchange(&sandbox, &code, &[("code_verifier", CHALLENGE)]).await;
    assert_eq!(refusal(&wrong).2, "Invalid code verifier.");
    let right = exchange(&sandbox, &code, &[("code_verifier", VERIFIER)]).await;
    assert_eq!(right.status, 200);
}

#[tokio::test]
async fn a_client_may_authenticate_by_basic_but_not_in_two_ways() {
    let sandbox = small().await;
    let issued = granted(&sandbox).await;
    let token = text(&issued, "refresh_token");
    // "sandbox-google:sandbox-google-secret"
    let basic = "Basic c2FuZGJveC1nb29nbGU6c2FuZGJveC1nb29nbGUtc2VjcmV0";
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", basic),
    ];
    let body = super::encode(&[("grant_type", "refresh_token"), ("refresh_token", &token)]);
    let head = "POST /google/token";
    assert_eq!(send(&sandbox, head, &headers, &body).await.status, 200);
    let both = format!("{body}&client_secret=sandbox-google-secret");
    let answer = send(&sandbox, head, &headers, &both).await;
    assert_eq!(refusal(&answer).1, "invalid_request");
}

#[tokio::test]
async fn either_token_revokes_all_that_the_account_gave() {
    let sandbox = small().await;
    for name in ["access_token", "refresh_token"] {
        let (one, two) = (granted(&sandbox).await, granted(&sandbox).await);
        let form = [("token", text(&one, name))];
        let form = [(form[0].0, form[0].1.as_str())];
        let answer = post_form(&sandbox, "/google/revoke", &form).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            about(&sandbox, &text(&two, "access_token")).await.status,
            401
        );
        let dead = refresh(&sandbox, &text(&two, "refresh_token")).await;
        let (status, error, description) = refusal(&dead);
        assert_eq!(
            (status, error.as_str(), description.as_str()),
            (400, "invalid_grant", "Token has been expired or revoked.")
        );
        let again = post_form(&sandbox, "/google/revoke", &form).await;
        assert_eq!(
            (again.status, refusal(&again).1.as_str()),
            (400, "invalid_token")
        );
    }
}

#[tokio::test]
async fn the_owner_takes_a_grant_back_and_time_runs_out() {
    let sandbox = small().await;
    let issued = granted(&sandbox).await;
    let (access, token) = (
        text(&issued, "access_token"),
        text(&issued, "refresh_token"),
    );
    assert_eq!(sandbox.google.oauth.expire(None, Kind::Access), 1);
    assert_eq!(about(&sandbox, &access).await.status, 401);
    assert_eq!(refresh(&sandbox, &token).await.status, 200);
    let expired = json!({"tokens": "refresh", "account": "chef@harvest-bistro.example"});
    let answer = control(&sandbox, "POST /google/expire", expired).await;
    assert_eq!(answer.json(), json!({"expired": 1}));
    assert_eq!(refresh(&sandbox, &token).await.status, 400);

    let token = text(&granted(&sandbox).await, "refresh_token");
    let answer = control(&sandbox, "POST /google/revoke", json!({})).await;
    assert_eq!(answer.json(), json!({"ended": 2}));
    assert_eq!(refusal(&refresh(&sandbox, &token).await).1, "invalid_grant");
    control(
        &sandbox,
        "POST /google/lives",
        json!({"access_seconds": 60}),
    )
    .await;
    assert_eq!(granted(&sandbox).await["expires_in"], 59);
}

#[tokio::test]
async fn the_hundred_and_first_grant_of_an_account_ends_the_first_silently() {
    let sandbox = small().await;
    let first = text(&granted(&sandbox).await, "refresh_token");
    let second = text(&granted(&sandbox).await, "refresh_token");
    for _ in 0..99 {
        granted(&sandbox).await;
    }
    assert_eq!(refusal(&refresh(&sandbox, &first).await).1, "invalid_grant");
    assert_eq!(refresh(&sandbox, &second).await.status, 200);
}

#[tokio::test]
async fn a_token_of_another_client_is_refused() {
    let sandbox = small().await;
    let token = text(&granted(&sandbox).await, "refresh_token");
    let other = json!({"client_id": "other", "client_secret": "other-secret"});
    control(&sandbox, "POST /google/clients", other).await;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.as_str()),
        ("client_id", "other"),
        ("client_secret", "other-secret"),
    ];
    let answer = post_form(&sandbox, TOKEN, &form).await;
    assert_eq!(
        (answer.status, refusal(&answer).1.as_str()),
        (401, "unauthorized_client")
    );
}

#[tokio::test]
async fn of_many_exchanges_at_once_one_is_granted_and_the_others_end_it() {
    let sandbox = small().await;
    let code = code(&sandbox, "google", offline()).await;
    let calls = (0..20).map(|_| exchange(&sandbox, &code, &[]));
    let answers = futures::future::join_all(calls).await;
    let granted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(granted, 1);
    let grants = sandbox.google.oauth.grants();
    assert!(grants.len() == 1 && grants[0].ended.is_some());
    assert_eq!(
        sandbox.google.oauth.token_calls()[&GrantType::AuthorizationCode].refused,
        19
    );
}
