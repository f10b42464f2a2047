//! Where a browser may be sent at the end, and who is told.

use serde_json::json;

use super::{
    browser::Browser,
    desk::{Desk, Plan, nothing, parameter},
};

const ALLOWED: &str = "https://app.example.com/done,http://localhost:3000/back";

#[tokio::test]
async fn a_return_url_beside_the_allow_list_is_refused() {
    let desk = Desk::new(Plan::with("consent.return_urls", ALLOWED)).await;
    for bad in [
        "https://evil.example/done",
        "https://sub.app.example.com/done",
        "https://app.example.com.evil.example/done",
        "//evil.example/done",
        "https:\\\\evil.example/done",
        "https://app.example.com\\.evil.example/done",
        "https://app.example.com@evil.example/done",
        "https://user@app.example.com/done",
        "https://app.example.com/done/../../evil",
        "https://app.example.com/donemore",
        "https://app.example.com/done/more",
        "http://app.example.com/done",
        "javascript:alert(1)",
        "/done",
        "",
    ] {
        let asked = desk
            .post("/authorize/square", json!({ "return_url": bad }))
            .await;
        let problem = asked.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], "/return_url", "{bad}");
        let message = problem["errors"][0]["message"].as_str().unwrap();
        assert!(
            message.contains("https://app.example.com/done"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn without_an_allow_list_no_return_url_is_taken() {
    let desk = Desk::new(Plan::default()).await;
    desk.post(
        "/authorize/square",
        json!({ "return_url": "http://127.0.0.1:7420/x" }),
    )
    .await
    .problem(422, "validation");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_returns_with_the_outcome_in_the_query() {
    let desk = Desk::new(Plan::with("consent.return_urls", ALLOWED)).await;
    let _worker = desk.worker();
    let to = "https://app.example.com/done?tab=2&patchbay=forged&job=forged";
    let (id, url) = desk.ask("square", json!({ "return_url": to })).await;
    let end = Browser::new(&desk)
        .follow(&url, |at| at.starts_with("https://app."))
        .await
        .address;
    let consent = desk.consent(&id).await;
    let query = |name: &str| parameter(&end, name).unwrap();
    assert_eq!(query("tab"), "2");
    assert_eq!(query("patchbay"), "connected");
    assert_eq!(
        query("connection"),
        consent["connection_id"].as_str().unwrap()
    );
    assert_eq!(query("job"), consent["job_id"].as_str().unwrap());
    assert_eq!(end.matches("patchbay=").count(), 1, "{end}");
    assert!(!end.contains("code=") && !end.contains("state="), "{end}");
}

#[tokio::test]
async fn a_refusal_returns_with_its_outcome_too() {
    let desk = Desk::new(Plan::with("consent.return_urls", ALLOWED)).await;
    let body = json!({ "return_url": "http://localhost:3000/back" });
    let (_, mut browser, state) = desk.opened("square", body).await;
    let said = browser
        .back("square", &format!("error=access_denied&state={state}"))
        .await;
    assert_eq!(said.status, 303);
    assert_eq!(
        said.header("location"),
        "http://localhost:3000/back?patchbay=failed"
    );
    assert_eq!(said.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_opener_alone_is_told() {
    let desk = Desk::new(Plan::with(
        "consent.opener_origin",
        "https://app.example.com",
    ))
    .await;
    let _worker = desk.worker();
    let (id, url) = desk.ask("square", nothing()).await;
    let page = Browser::new(&desk).consent(&url).await;
    let consent = desk.consent(&id).await;
    let message = format!(
        r#"postMessage({{"type":"patchbay:connect","status":"connected","connection":{},"job":{}}},"https://app.example.com")"#,
        consent["connection_id"], consent["job_id"]
    );
    assert!(page.text.contains(&message), "{}", page.text);
    assert!(page.text.contains("window.close()"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configured_opener_the_page_has_no_script() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    let (_, url) = desk.ask("square", nothing()).await;
    let page = Browser::new(&desk).consent(&url).await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("<script"), "{}", page.text);
    assert!(
        !page
            .header("content-security-policy")
            .contains("script-src")
    );
    assert!(!page.text.contains("http"), "an address: {}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_takes_long_is_shown_by_a_page_that_looks_again() {
    // No worker yet: the callback waits its ten seconds and answers.
    let desk = Desk::new(Plan::default()).await;
    let (id, url) = desk.ask("square", nothing()).await;
    let mut browser = Browser::new(&desk);
    let page = browser.consent(&url).await;
    assert_eq!(page.status, 202, "{}", page.text);
    assert_eq!(desk.consent(&id).await["status"], "exchanging");
    let look = page.text.split("url=").nth(1).unwrap();
    let look = look.split('"').next().unwrap().to_owned();
    assert!(look.contains("/connect/outcome/"), "{look}");
    assert!(!look.contains("state") && !look.contains("code"), "{look}");

    // Without the cookie it says nothing, also not whether there is such a consent.
    let stranger = Browser::new(&desk).get(&look).await;
    assert_eq!(stranger.status, 404);
    let unknown = "http://127.0.0.1:7420/connect/outcome/019ab2c3-7d4e-7f00-8000-000000000000";
    let unknown = Browser::new(&desk).get(unknown).await;
    assert_eq!(words(&unknown.text), words(&stranger.text));

    assert_eq!(browser.get(&look).await.status, 202);
    // Each look counts, and the last page looks no more.
    let last = look.replace("look=1", "look=20");
    let last = browser.get(&last).await;
    assert!(!last.text.contains("http-equiv"), "{}", last.text);

    let _worker = desk.worker();
    for _ in 0..200 {
        let page = browser.get(&look).await;
        if page.status == 200 {
            assert!(page.text.contains("Square is connected"), "{}", page.text);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the exchange did not end");
}

/// The page without its nonces.
fn words(html: &str) -> String {
    html.split("<main").nth(1).unwrap().to_owned()
}
