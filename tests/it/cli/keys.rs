//! `patchbay keys` on the data folder of a running `patchbay up`.

use std::time::Duration;

use super::desk::Desk;

fn refused(desk: &Desk, arguments: &[&str], parts: &[&str]) {
    let said = desk.run(arguments);
    assert_eq!(said.code, 6, "{arguments:?}: {said:?}");
    for part in parts {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
}

fn done(desk: &Desk, arguments: &[&str]) {
    let said = desk.run(arguments);
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
}

fn syncs(desk: &Desk) {
    done(
        desk,
        &["sync", "square", "--stream", "customers", "--follow"],
    );
}

#[tokio::test]
async fn every_key_is_replaced_while_up_runs() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    desk.connect();

    done(&desk, &["keys", "add"]);
    done(&desk, &["keys", "promote", "k2"]);
    refused(
        &desk,
        &["keys", "retire", "k1"],
        &["1 value in org_keys.wrapped", "keys rewrap"],
    );
    done(&desk, &["keys", "rewrap"]);
    done(&desk, &["keys", "retire", "k1"]);
    syncs(&desk);

    let ended = desk.json(&["keys", "reencrypt"]);
    assert_eq!(
        (&ended["reencrypted"], &ended["finished"]),
        (&1.into(), &true.into()),
        "{ended}"
    );
    syncs(&desk);
    let status = desk.json(&["keys", "status"]);
    assert_eq!(status["data_keys"]["current"], 1, "{status}");
    assert_eq!(status["data_keys"]["retired"], 0, "{status}");
    let key = |at: usize| (&status["keys"][at]["id"], &status["keys"][at]["state"]);
    assert_eq!(key(0), (&"k1".into(), &"disabled".into()));
    assert_eq!(key(1), (&"k2".into(), &"primary".into()));
    assert_eq!(status["keys"][1]["known_to"], 1, "{status}");
}

#[tokio::test]
async fn a_sealing_key_is_retired_once_the_api_has_left_it() {
    let desk = Desk::new();
    let mut up = desk.up(&["--sandbox"]).await;
    done(&desk, &["keys", "add", "--sealing"]);
    done(&desk, &["keys", "promote", "s2"]);
    let public = desk.run(&["keys", "public"]).out;
    assert!(public.starts_with("s2:"), "{public}");
    refused(
        &desk,
        &["keys", "retire", "s1", "--wait", "0"],
        &["up on", "restart `patchbay up`"],
    );
    up.terminate(Duration::from_secs(15)).await.unwrap();
    let _up = desk.up(&["--sandbox"]).await;
    done(&desk, &["keys", "retire", "s1"]);
    desk.connect();
}

#[tokio::test]
async fn a_forgotten_org_connects_anew_and_keeps_its_records() {
    let desk = Desk::new();
    let _up = desk.up(&["--sandbox"]).await;
    desk.connect();
    syncs(&desk);
    let totals = || desk.json(&["records", "square", "--stream", "customers", "--totals"]);
    let before = totals();

    refused(
        &desk,
        &["keys", "forget-org", "Default"],
        &["unreadable for good", "--yes-i-mean"],
    );
    let mistyped = ["keys", "forget-org", "Default", "--yes-i-mean", "default"];
    refused(&desk, &mistyped, &["nothing was done"]);
    assert_eq!(desk.json(&["connections"])[0]["status"], "active");
    done(
        &desk,
        &["keys", "forget-org", "Default", "--yes-i-mean", "Default"],
    );

    let connection = &desk.json(&["connections"])[0];
    assert_eq!(connection["status"], "error", "{connection}");
    assert!(
        connection.to_string().contains("deleted for good"),
        "{connection}"
    );
    let said = desk.run_with(
        &[
            "connections",
            "update",
            "square",
            "--secret",
            "access_token=-",
        ],
        "sandbox-square-token\n",
    );
    assert_eq!(said.code, 0, "{said:?}");
    syncs(&desk);
    assert_eq!(totals(), before);
}
