//! Webhooks that tell of alerts, as admins handle them.

use axum::http::Method;
use serde_json::{Value, json};

use crate::desk::{Desk, desk};

const PATH: &str = "/alert-channels/webhooks";
const HOOK: &str = "https://hooks.example.com/alerts/7f3a";

async fn set(desk: &Desk, url: &str) -> Value {
    let body = json!({ "url": url });
    desk.post(PATH, body).await.expect(202)
}

#[tokio::test]
async fn a_webhook_is_made_with_a_secret_that_nobody_can_read_again() {
    let desk = desk().await;
    let made = set(&desk, HOOK).await;
    let secret = made["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("whsec_") && secret.len() == 50,
        "{secret}"
    );
    assert_eq!(made["job"]["kind"], "alert_webhook_set");
    let channel = &made["channel"];
    assert_eq!(channel["kind"], "webhook");
    assert_eq!(channel["url"], HOOK);
    let listed = desk.get("/alert-channels").await.expect(200);
    assert_eq!(&listed, &json!([channel]));
    assert!(!listed.to_string().contains(secret));
    assert!(!desk.holds(secret.trim_start_matches("whsec_")).await);
    let events = desk.get("/events?kind=alert_channel.set").await.expect(200);
    let data = &events["data"][0]["data"];
    assert_eq!(data["host"], "https://hooks.example.com");
    assert!(
        !events.to_string().contains("7f3a"),
        "a path may let callers in"
    );
}

#[tokio::test]
async fn an_address_has_one_webhook() {
    let desk = desk().await;
    let made = set(&desk, HOOK).await;
    // The same address in another spelling.
    let again = set(&desk, "HTTPS://hooks.EXAMPLE.com:443/alerts/7f3a").await;
    assert_eq!(made["channel"]["id"], again["channel"]["id"]);
    assert_ne!(made["secret"], again["secret"]);
    let other = set(&desk, "https://hooks.example.com/other").await;
    assert_ne!(made["channel"]["id"], other["channel"]["id"]);
}

#[tokio::test]
async fn a_webhook_belongs_to_its_organization_and_its_admins() {
    let desk = desk().await;
    let made = set(&desk, HOOK).await;
    let id = made["channel"]["id"].as_str().unwrap();
    let path = format!("/alert-channels/{id}");
    let member = desk.ask_as(
        &desk.member,
        Method::POST,
        PATH,
        Some(json!({ "url": HOOK })),
    );
    member.await.problem(403, "forbidden");
    for (method, path) in [
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/test")),
    ] {
        let theirs = desk.ask_as(&desk.stranger, method, &path, None).await;
        theirs.problem(404, "not-found");
    }
    // Another organization may use the same receiver, and shares nothing.
    let body = json!({ "url": HOOK });
    let theirs = desk.ask_as(&desk.stranger, Method::POST, PATH, Some(body));
    let theirs = theirs.await.expect(202);
    assert_ne!(theirs["channel"]["id"], made["channel"]["id"]);

    desk.ask(Method::DELETE, &path, None).await.expect(204);
    desk.ask(Method::DELETE, &path, None)
        .await
        .problem(404, "not-found");
    let listed = desk.get("/alert-channels").await.expect(200);
    assert_eq!(listed, json!([]));
    let events = desk.get("/events?kind=alert_channel.removed").await;
    assert_eq!(events.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn addresses_that_lead_inside_or_are_not_https_are_refused() {
    let desk = desk().await;
    for url in [
        "https://10.1.2.3/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://2130706434/hook",
        "https://0x7f000002/hook",
        "https://localhost/hook",
        "https://queue.localhost/hook",
        "https://intranet/hook",
        "http://hooks.example.com/hook",
        "ftp://hooks.example.com/hook",
        "javascript:alert(1)",
        "https://user@hooks.example.com/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com/#part",
        "hooks.example.com/hook",
        "",
    ] {
        let answer = desk.post(PATH, json!({ "url": url })).await;
        assert_eq!(answer.pointers(), ["/url"], "{url}");
    }
    let long = format!("https://hooks.example.com/{}", "ü".repeat(700));
    let answer = desk.post(PATH, json!({ "url": long })).await;
    assert_eq!(answer.pointers(), ["/url"]);
    assert_eq!(desk.get("/alert-channels").await.expect(200), json!([]));
}

/// The desk's operator allows 127.0.0.1 and erp.internal.
#[tokio::test]
async fn what_the_operator_allows_may_be_inside_and_in_clear() {
    let desk = desk().await;
    for url in [
        "http://127.0.0.1:8080/hook",
        "https://127.0.0.1/hook",
        "http://erp.internal/hook",
        "https://93.184.216.34/hook",
    ] {
        assert_eq!(set(&desk, url).await["channel"]["url"], url);
    }
    let answer = desk.post(PATH, json!({ "url": "http://93.184.216.34/" }));
    assert_eq!(answer.await.pointers(), ["/url"]);
}

#[tokio::test]
async fn there_are_ten_channels_of_both_kinds_at_most() {
    let desk = desk().await;
    for n in 0..10 {
        set(&desk, &format!("https://hooks.example.com/{n}")).await;
    }
    let eleventh = desk.post(PATH, json!({ "url": HOOK })).await;
    assert_eq!(eleventh.pointers(), ["/url"]);
    // One that is there may be set anew.
    set(&desk, "https://hooks.example.com/3").await;
}

#[tokio::test]
async fn a_test_of_an_email_channel_is_a_message_of_its_connection() {
    let desk = desk().await;
    let office = crate::alert_channels::post_office(&desk).await;
    let body = json!({ "connection_id": office, "to": ["ops@example.com"] });
    let channel = desk.post("/alert-channels", body).await.expect(200);
    let id = channel["id"].as_str().unwrap();
    let path = format!("/alert-channels/{id}/test");
    let job = desk.post(&path, json!({})).await.expect(202);
    assert_eq!(job["kind"], "action");
    assert_eq!(job["connection_id"], json!(office));
    assert_eq!(job["args"]["action"], "send_email");
    assert_eq!(job["args"]["input"]["to"], json!(["ops@example.com"]));

    let path_of_office = format!("/connections/{office}/disable");
    desk.post(&path_of_office, json!({})).await.expect(200);
    let refused = desk.post(&path, json!({})).await;
    refused.problem(409, "connection-state");
}
