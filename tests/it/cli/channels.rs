//! Channels of alerts from the command line, against a running `patchbay up`.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::alerts::receiver::Receiver;

/// The receiver has a thread of its own: commands hold up this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_webhook_is_added_tested_and_removed() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    // The stand-ins allow this machine's own address as a target.
    let up = desk.up(&["--sandbox", "--log-level", "debug"]).await;
    assert!(
        desk.run(&["alerts", "channels"])
            .out
            .contains("No channels")
    );
    let inside = desk.run(&["alerts", "channels", "add-webhook", "https://10.0.0.1/"]);
    assert_eq!(inside.code, 6, "{inside:?}");
    assert!(
        inside.err.contains("not on the public internet"),
        "{inside:?}"
    );

    let url = receiver.url();
    let added = desk.run(&["alerts", "channels", "add-webhook", &url]);
    assert_eq!(added.code, 0, "{added:?}");
    let secret = added
        .out
        .split_whitespace()
        .find(|word| word.starts_with("whsec_"));
    let secret = secret.unwrap();
    let listed = desk.json(&["alerts", "channels", "list"]);
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(listed[0]["url"], url);
    assert!(listed[0]["secret_mask"].is_string());
    assert!(!listed.to_string().contains(secret));

    let tested = desk.run(&["alerts", "channels", "test", id]);
    assert_eq!(tested.code, 0, "{tested:?}");
    assert!(
        tested.out.contains("The test message arrived"),
        "{tested:?}"
    );
    assert!(receiver.messages()[0].is_signed_with(secret));
    let shown = desk.run(&["alerts", "channels"]);
    assert!(shown.out.contains("in use"), "{shown:?}");

    let again = desk.json(&["alerts", "channels", "add-webhook", &url]);
    assert_eq!(again["channel"]["id"], id);
    let other = again["secret"].as_str().unwrap();
    receiver.answer([410]);
    let refused = desk.run(&["alerts", "channels", "test", id]);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(receiver.messages()[1].is_signed_with(other));
    let shown = desk.run(&["alerts", "channels", "list"]);
    assert!(
        shown.out.contains("disabled") && shown.out.contains("410"),
        "{shown:?}"
    );

    assert_eq!(desk.run(&["alerts", "channels", "remove", id]).code, 0);
    assert_eq!(desk.json(&["alerts", "channels"]), json!([]));
    assert_eq!(desk.run(&["alerts", "channels", "remove", id]).code, 5);
    for secret in [secret, other] {
        assert!(
            !up.log().unwrap().contains(secret),
            "the log has the secret"
        );
        let bare = secret.trim_start_matches("whsec_");
        assert!(!stands_in(&desk.data(), bare), "a file has the secret");
    }
}

#[tokio::test]
async fn an_email_channel_is_added_to_a_connection_that_sends_e_mails() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    desk.connect();
    let add = [
        "alerts",
        "channels",
        "add-email",
        "square",
        "--to",
        "ops@example.com",
    ];
    let refused = desk.run(&add);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains("sends no e-mails"), "{refused:?}");
    assert_eq!(desk.json(&["alerts", "channels"]), Value::Array(Vec::new()));
}

/// Whether a text stands in a file of the folder.
fn stands_in(folder: &std::path::Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() {
            std::fs::read(path).unwrap()
        } else {
            Vec::new()
        };
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}
