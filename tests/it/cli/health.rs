//! Health from the command line, against a running `patchbay up`: check, metrics, log, and from
//! when on something is an alert.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use super::desk::Desk;

/// From now on the stand-in refuses every token.
fn revoke_tokens(desk: &Desk) {
    let instance = std::fs::read_to_string(desk.data().join("instance.json")).unwrap();
    let instance: Value = serde_json::from_str(&instance).unwrap();
    let host = instance["sandbox"].as_str().unwrap();
    let host = host.strip_prefix("http://").unwrap();
    let body = r#"{"effect":"revoked_token"}"#;
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!(
        "POST /_control/faults HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_connection_is_checked_and_its_numbers_and_failures_are_shown() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    desk.connect();
    let checked = desk.run(&["connections", "check", "square"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.out.contains("Health     healthy"), "{checked:?}");
    let listed = desk.run(&["connections"]);
    let mut lines = listed.out.lines();
    assert!(
        lines.next().unwrap().trim_end().ends_with("LAST CHECK"),
        "{listed:?}"
    );
    let connection = desk.json(&["connections", "show", "square"]);
    let last = connection["last_checked_at"].as_str().unwrap();
    let last = last[..16].replace('T', " ");
    let line = lines.next().unwrap().trim_end();
    assert!(line.ends_with(&format!("{last} UTC")), "{last}: {listed:?}");
    let numbers = desk.json(&["stats"]);
    assert_eq!(
        (&numbers["totals"]["total"], &numbers["totals"]["healthy"]),
        (&1.into(), &1.into())
    );
    let shown = desk.run(&["stats"]);
    for line in [
        "Connections  1",
        "Active       1 (1 healthy, 0 degraded, 0 failing)",
        "Error        0",
        "Disabled     0",
        "Dead jobs    0",
        "Alerts       0 not resolved",
    ] {
        assert!(shown.out.contains(line), "{line}: {shown:?}");
    }
    assert_eq!(desk.run(&["connections", "check", "--all"]).code, 0);
    let numbers = desk.json(&["connections", "health", "square"]);
    assert_eq!(numbers["health"], "healthy");
    assert_eq!(
        (&numbers["checks"], &numbers["failed"]),
        (&2.into(), &0.into())
    );
    assert_eq!(numbers["uptime"], 1.0);
    assert_eq!(numbers["recent"][0]["kind"], "manual");

    let shown = desk.run(&["connections", "health", "square", "--window", "1h"]);
    for line in [
        "Health      healthy",
        "Window      1h",
        "Checks      2, 0 failed",
        "Uptime      100.00 %",
        "Error rate  0.00 %",
        "Response    p50 ",
        "Next check  2",
    ] {
        assert!(shown.out.contains(line), "{line}: {shown:?}");
    }
    for window in ["7d", "30d"] {
        let numbers = desk.json(&["connections", "health", "square", "--window", window]);
        assert_eq!(
            (&numbers["window"], &numbers["checks"]),
            (&window.into(), &2.into())
        );
    }

    let interval = ["connections", "update", "square", "--health-interval", "15"];
    assert_eq!(desk.run(&interval).code, 0);
    let shown = desk.run(&["connections", "show", "square"]);
    assert!(shown.out.contains("every 15 min"), "{shown:?}");
    let wrong = ["connections", "update", "square", "--health-interval", "61"];
    assert_eq!(desk.run(&wrong).code, 2);
    assert_eq!(desk.run(&["connections", "check", "shopify"]).code, 5);
    let wrong = ["connections", "health", "square", "--window", "2h"];
    assert_eq!(desk.run(&wrong).code, 2);
    assert_eq!(desk.run(&["connections", "disable", "square"]).code, 0);
    let shown = desk.run(&["stats"]);
    assert!(shown.out.contains("Disabled     1"), "{shown:?}");
}

#[tokio::test]
async fn a_refused_credential_is_told_with_what_to_do() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    desk.connect();
    revoke_tokens(&desk);
    let checked = desk.run(&["connections", "check", "square"]);
    assert_eq!(checked.code, 0, "the check did its work: {checked:?}");
    for part in [
        "Status     error",
        "Health     failing",
        "Next: set a credential that works",
    ] {
        assert!(checked.out.contains(part), "{part}: {checked:?}");
    }
    let log = desk.run(&["connections", "health", "square"]);
    for part in [
        "Checks      1, 1 failed",
        "Uptime      0.00 %",
        "manual",
        "Impact: ",
    ] {
        assert!(log.out.contains(part), "{part}: {log:?}");
    }
    let log = desk.json(&["connections", "health", "square"]);
    assert_eq!(log["errors"][0]["failure"]["kind"], "auth");
    assert_eq!(log["connection"]["health_reason"]["kind"], "auth");
}

#[tokio::test]
async fn limits_of_alerts_are_shown_and_set() {
    let desk = Desk::new();
    let _up = desk.up(&[]).await;
    let usual = desk.run(&["alerts", "limits"]);
    assert!(usual.out.contains("after 3 failures in a row"), "{usual:?}");
    let set = [
        "alerts",
        "limits",
        "set",
        "--failures-in-a-row",
        "5",
        "--quiet-seconds",
        "3600",
    ];
    let set = desk.json(&set);
    assert_eq!(
        (&set["failures_in_a_row"], &set["quiet_seconds"]),
        (&5.into(), &3600.into())
    );
    let refused = desk.run(&["alerts", "limits", "set", "--queue-age-seconds", "5"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains("queue_age_seconds"), "{refused:?}");
    assert_eq!(desk.json(&["alerts", "limits"])["queue_age_seconds"], 300);
}
