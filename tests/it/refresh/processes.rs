//! One refresh over processes of the operating system: nothing is shared but the database.

use std::{process::Stdio, sync::Arc};

use futures::future::join_all;
use patchbay_core::{
    clock::SystemClock,
    ids::{ConnectionId, CredentialId, OrgId},
    store::{
        Store,
        connect::{ConnectOptions, connect},
    },
};
use patchbay_sandbox::faults::{Effect, Fault};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::desk::{clients, consented, credential, only};
use crate::sync::desk::{Desk, context};

const PROCESSES: usize = 4;
const REFRESHERS: usize = 50;
/// Before what a child says: the test runner in it speaks as well.
const SAYS: &str = "refreshers: ";

/// Set for a child.
const IS_CHILD: &str = "PATCHBAY_TEST_REFRESHERS";

/// This test binary once more, for this test once more.
fn child() -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("refresh::processes::two_hundred_in_four_processes_of_the_system_make_one_call")
        .env(IS_CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn said(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, words)) = line.split_once(SAYS) {
            return words.to_owned();
        }
    }
    panic!("the child ended without a word")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_in_four_processes_of_the_system_make_one_call() {
    if is_child() {
        return fifty_want_it().await;
    }
    let desk = Box::pin(Desk::on_postgres()).await;
    let desk = consented(desk, 30).await;
    let seen = credential(&desk).await;
    let slow = Fault::at("POST /square/oauth2/token", Effect::LateAnswer { ms: 300 });
    only(&desk, slow);
    let told = json!({
        "database": desk.url(),
        "keyring": desk.keyring,
        "square": desk.sandbox.square_url(),
        "org": desk.org,
        "connection": desk.connection,
        "credential": seen.id,
        "version": seen.version,
    });
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        let mut child = child();
        let mut input = child.stdin.take().unwrap();
        let output = child.stdout.take().unwrap();
        input
            .write_all(format!("{told}\n").as_bytes())
            .await
            .unwrap();
        children.push((child, input, BufReader::new(output).lines()));
    }
    for (_, _, lines) in &mut children {
        assert_eq!(said(lines).await, "ready");
    }
    for (_, input, _) in &mut children {
        input.write_all(b"go\n").await.unwrap();
    }
    let (mut renewed, mut joined) = (0, 0);
    for (child, _, lines) in &mut children {
        let came: Value = serde_json::from_str(&said(lines).await).unwrap();
        assert_eq!(came["versions"], json!(vec![seen.version + 1; REFRESHERS]));
        renewed += came["renewed"].as_u64().unwrap();
        joined += came["joined"].as_u64().unwrap();
        assert!(child.wait().await.unwrap().success());
    }
    assert_eq!(desk.sandbox.square.oauth.refresh_calls(), 1);
    assert_eq!(renewed, 1);
    assert!(joined < PROCESSES as u64, "one look for a process at most");
    assert_eq!(credential(&desk).await.version, seen.version + 1);
}

#[expect(
    clippy::disallowed_methods,
    reason = "how the test finds out that it was started by itself"
)]
fn is_child() -> bool {
    std::env::var_os(IS_CHILD).is_some()
}

/// The child: waits until all are there, then fifty want the same token.
async fn fifty_want_it() {
    let told: Value = serde_json::from_str(&hears()).unwrap();
    let text = |name: &str| told[name].as_str().unwrap();
    let options = ConnectOptions {
        max_connections: 4,
        application_name: "refreshers".into(),
    };
    let db = connect(text("database"), options).await.unwrap();
    let store = Store::new(db, Arc::new(SystemClock));
    let mut ctx = context(store, text("keyring"), text("square")).await;
    ctx.clients = clients();
    let org: OrgId = text("org").parse().unwrap();
    let connection: ConnectionId = text("connection").parse().unwrap();
    let credential: CredentialId = text("credential").parse().unwrap();
    let version = told["version"].as_i64().unwrap();
    let row = ctx.store.connection(ctx.store.db(), org, connection).await;
    let row = row.unwrap().unwrap();
    say("ready");
    assert_eq!(hears(), "go");
    let wanted = (0..REFRESHERS).map(|_| ctx.refresher.renew(&ctx, &row, credential, version));
    let came = join_all(wanted).await.into_iter();
    let versions: Vec<i64> = came.map(|fresh| fresh.unwrap().version).collect();
    let count = |name: &str| super::desk::counted(&ctx, name);
    let (renewed, joined) = (count("renewed"), count("joined"));
    say(&json!({ "versions": versions, "renewed": renewed, "joined": joined }).to_string());
}

/// How it speaks to the test that started it.
fn say(words: &str) {
    println!("{SAYS}{words}");
}

/// Waits for a line; nothing else runs here meanwhile.
fn hears() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim().to_owned()
}
