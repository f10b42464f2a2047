//! What a provider's answer may look like, and what becomes of a refusal.

use serde_json::json;

use super::{
    browser::Browser,
    desk::{Desk, Plan, nothing},
};

/// An answer whose form is wrong: refused, and the consent can still be given.
async fn form_is_wrong(query: &str) {
    let desk = Desk::new(Plan::default()).await;
    let (id, mut browser, state) = desk.opened("square", nothing()).await;
    let page = browser
        .back("square", &query.replace("STATE", &state))
        .await;
    assert_eq!(page.status, 400, "{}", page.text);
    assert_eq!(desk.exchanges().await, 0);
    assert_eq!(desk.consent(&id).await["status"], "opened");
}

#[tokio::test]
async fn a_doubled_parameter_is_refused() {
    form_is_wrong("code=a&state=STATE&state=STATE").await;
    form_is_wrong("code=a&state=STATE&iss=x&iss=x").await;
}

#[tokio::test]
async fn a_doubled_code_is_refused() {
    form_is_wrong("code=a&code=b&state=STATE").await;
    form_is_wrong("code=a&code=a&state=STATE").await;
}

#[tokio::test]
async fn an_empty_code_is_refused() {
    form_is_wrong("code=&state=STATE").await;
    form_is_wrong("code&state=STATE").await;
    form_is_wrong("state=STATE").await;
}

#[tokio::test]
async fn a_code_over_four_kilobytes_is_refused() {
    form_is_wrong(&format!("code={}&state=STATE", "x".repeat(4097))).await;
}

#[tokio::test]
async fn a_code_with_control_characters_is_refused() {
    for bad in ["a%0D%0Ab", "a%0Ab", "a%00", "%00", "a%7F", "%C2%85", "%FF"] {
        form_is_wrong(&format!("code={bad}&state=STATE")).await;
    }
}

#[tokio::test]
async fn code_and_error_both_are_refused() {
    form_is_wrong("code=a&error=access_denied&state=STATE").await;
}

#[tokio::test]
async fn an_error_with_a_valid_state_burns_it() {
    let desk = Desk::new(Plan::default()).await;
    let (id, mut browser, state) = desk.opened("square", nothing()).await;
    let cookies = browser.cookies.clone();
    let page = browser
        .back("square", &format!("error=access_denied&state={state}"))
        .await;
    assert_eq!(page.status, 400, "{}", page.text);
    assert!(
        page.text.contains("Square is not connected"),
        "{}",
        page.text
    );
    let consent = desk.consent(&id).await;
    assert_eq!(consent["status"], "failed");
    assert_eq!(consent["failure"]["kind"], "auth");
    assert_eq!(consent["failure"]["code"], "access_denied");
    assert_eq!(consent["job_id"], json!(null));

    browser.cookies = cookies;
    let after = browser
        .back("square", &format!("code=abc&state={state}"))
        .await;
    assert_eq!(after.status, 400);
    assert!(after.text.contains("It was used before"), "{}", after.text);
    assert_eq!(desk.exchanges().await, 0);
    let events = desk.get("/events").await.json(200);
    assert_eq!(events["data"][0]["kind"], "consent.failed", "{events:#}");
}

#[tokio::test]
async fn the_person_says_no_at_the_provider() {
    use patchbay_sandbox::oauth::{Answer, Decision};
    let desk = Desk::new(Plan::default()).await;
    let no = Answer {
        decision: Decision::Deny,
        ..Answer::default()
    };
    desk.sandbox.square.oauth.answer_always(Some(no));
    let (id, url) = desk.ask("square", nothing()).await;
    let page = Browser::new(&desk).consent(&url).await;
    assert_eq!(page.status, 400);
    assert!(page.text.contains("was not given"), "{}", page.text);
    assert_eq!(desk.consent(&id).await["status"], "failed");
    assert!(desk.connections().await.is_empty());
}

#[tokio::test]
async fn html_in_an_error_description_is_only_text() {
    let desk = Desk::new(Plan::with(
        "consent.opener_origin",
        "https://app.example.com",
    ))
    .await;
    let (_, mut browser, state) = desk.opened("square", nothing()).await;
    let evil =
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E%3Cimg%20src%3Dx%20onerror%3D%22alert(2)%22%3E%27%26";
    let query = format!("error=access_denied&error_description={evil}&state={state}");
    let page = browser.back("square", &query).await;
    let html = &page.text;
    assert!(!html.contains("<script>"), "{html}");
    assert!(!html.contains("<img"), "{html}");
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&quot;alert(2)&quot;&gt;&#39;&amp;"),
        "{html}"
    );
    // One script, ours, which the policy names by its nonce.
    assert_eq!(html.matches("<script").count(), 1);
    let policy = page.header("content-security-policy");
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap();
    let nonce = nonce.split('\'').next().unwrap();
    assert!(
        html.contains(&format!("<script nonce=\"{nonce}\">")),
        "{html}"
    );
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
}

#[tokio::test]
async fn a_long_or_strange_error_is_kept_short() {
    let desk = Desk::new(Plan::default()).await;
    let (id, mut browser, state) = desk.opened("square", nothing()).await;
    let long = "x".repeat(4000);
    let query = format!("error=very_strange&error_description={long}%0D%0A%00&state={state}");
    assert_eq!(browser.back("square", &query).await.status, 400);
    let consent = desk.consent(&id).await;
    assert_eq!(consent["failure"]["kind"], "invalid");
    assert!(consent["failure"]["message"].as_str().unwrap().len() < 500);
}
