//! A code works once: it is sent again only where certainly nothing came of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::consent::{
    desk::{Desk, Plan, nothing},
    generic::with_testbed,
    hostile::{Answer, Hostile, grant},
};

fn plan(url: &str) -> Plan {
    let url = url.to_owned();
    let mut plan = Plan::with("oauth.testbed.client_id", "patchbay");
    plan.registry = Box::new(move |registry| with_testbed(registry, &url, true));
    plan
}

fn status(status: u16) -> Answer {
    Answer {
        status,
        ..Answer::json(&json!({ "error": "server_error" }))
    }
}

/// Goes through the flow while the token endpoint answers so; the consent, and how often the
/// code was sent.
async fn exchanged(answers: [Answer; 2]) -> (Value, usize) {
    let hostile = Hostile::answering_in_turn(answers).await;
    let desk = Desk::new(plan(&hostile.url)).await;
    let _worker = desk.worker();
    let (id, mut browser, state) = desk.opened("testbed", nothing()).await;
    let query = format!("code=a-code&state={state}&iss={}", hostile.url);
    browser.back("testbed", &query).await;
    let consent = desk.consent(&id).await;
    (consent, hostile.asked().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_may_be_used_up_is_not_sent_again() {
    for number in [408, 500, 502, 503, 504] {
        // A second call would be granted.
        let (consent, sent) = exchanged([status(number), Answer::json(&grant())]).await;
        assert_eq!(sent, 1, "{number}");
        assert_eq!(consent["status"], "failed", "{number}: {consent:#}");
        let failure = &consent["failure"];
        assert_eq!(failure["kind"], "unknown_outcome", "{number}: {consent:#}");
        let action = failure["action"].as_str().unwrap();
        assert!(action.starts_with("Connect again"), "{number}: {action}");
        assert_eq!(failure["next_action"]["kind"], "reconnect", "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_turned_away_by_a_rate_limit_is_sent_again() {
    let (consent, sent) = exchanged([status(429), Answer::json(&grant())]).await;
    assert_eq!(consent["status"], "connected", "{consent:#}");
    assert_eq!(sent, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_did_not_go_out_is_sent_again() {
    // Taken, and nobody listens: whoever calls is refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let mut desk = Desk::new(plan(&url)).await;
    desk.guard();
    let _worker = desk.worker();
    let (id, mut browser, state) = desk.opened("testbed", nothing()).await;
    let query = format!("code=a-code&state={state}&iss={url}");
    let there_at_last = async {
        // The breaker counts the call that met nobody.
        let give_up = Instant::now() + Duration::from_secs(60);
        while desk.ctx.store.breakers().await.unwrap().0.is_empty() {
            assert!(Instant::now() < give_up, "the code was not sent");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Hostile::at(socket.listen(16).unwrap(), [Answer::json(&grant())])
    };
    let (_, hostile) = tokio::join!(browser.back("testbed", &query), there_at_last);
    let consent = desk.consent(&id).await;
    assert_eq!(consent["status"], "connected", "{consent:#}");
    assert_eq!(hostile.asked().len(), 1);
}
