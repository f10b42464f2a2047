//! A marked token goes through a whole fleet that logs everything it can; then it
//! is looked for in every place where it could have been left.

use std::time::Duration;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use patchbay_core::outbound::{AddressPolicy, Outbound, OutboundConfig, OutboundRequest, header};
use patchbay_sandbox::{
    oauth::{Answer, Client, Kind},
    square::{DEFAULT_MERCHANT, Token},
};
use patchbay_tests::Process;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use tokio::time::timeout;
use url::Url;

use super::stage::Fleet;

const CANARY: &str = "canary-3b1f9c27d5-token-of-the-merchant";

/// A secret in every form in which it could have been written: raw, URL-encoded, hex, and
/// base64 at each of the three places it can have in a group of three bytes.
fn needles(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let mut needles = vec![
        secret.to_owned(),
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        secret.replace('-', "%2D").replace('_', "%5F"),
    ];
    for phase in 0..3 {
        let mut padded = vec![0; phase];
        padded.extend_from_slice(bytes);
        for text in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            // The first and the last group also depend on what stands beside the token.
            needles.push(text[4..text.len() - 4].to_owned());
        }
    }
    needles
}

fn assert_clean(place: &str, text: &str, secrets: &[String]) {
    assert!(!text.is_empty(), "{place} is empty: nothing was searched");
    for needle in secrets.iter().flat_map(|secret| needles(secret)) {
        assert!(
            !text.contains(&needle),
            "a secret stands in {place} as {needle}"
        );
    }
}

/// Every row of every table as text; binary columns are hex.
async fn database_dump(fleet: &Fleet) -> String {
    let database = fleet.database().await;
    let tables = "select table_name from information_schema.tables where table_schema = 'public'";
    let tables = Statement::from_string(DbBackend::Postgres, tables);
    let mut dump = String::new();
    for table in database.query_all_raw(tables).await.unwrap() {
        let name: String = table.try_get("", "table_name").unwrap();
        let rows =
            format!("select coalesce(string_agg(t::text, ' '), '') as rows from \"{name}\" t");
        let rows = Statement::from_string(DbBackend::Postgres, rows);
        let rows = database.query_one_raw(rows).await.unwrap().unwrap();
        dump.push_str(&rows.try_get::<String>("", "rows").unwrap());
    }
    dump
}

/// Every key of Redis with its value.
fn redis_dump(fleet: &Fleet) -> String {
    let client = redis::Client::open(fleet.redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    let mut dump = "keys:".to_owned();
    for key in keys {
        let value: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
        dump.push_str(&key);
        dump.push_str(&String::from_utf8_lossy(&value.unwrap_or_default()));
    }
    dump
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_stands_nowhere_in_clear() {
    let mut fleet = Fleet::prepare().await;
    fleet.log_level = "trace";
    let processes: [Process; 3] = [
        fleet.api().await,
        fleet.scheduler().await,
        fleet.worker().await,
    ];
    fleet
        .sandbox
        .square
        .set_token(Token::new(CANARY, DEFAULT_MERCHANT))
        .unwrap();
    fleet.connect_with(CANARY);
    let said = [
        fleet.json(&["sync", "square", "--stream", "customers", "--follow"]),
        fleet.json(&["connections", "show", "square"]),
        fleet.json(&["jobs"]),
    ];
    let wrong = format!("{CANARY}-and-more");
    fleet.refused_with(&wrong);

    let secrets = [CANARY.to_owned()];
    assert_clean_everywhere(&fleet, &processes, &said, &secrets).await;
}

async fn assert_clean_everywhere(
    fleet: &Fleet,
    processes: &[Process],
    said: &[Value],
    secrets: &[String],
) {
    assert_clean("the database", &database_dump(fleet).await, secrets);
    assert_clean("Redis", &redis_dump(fleet), secrets);
    for answer in said {
        assert_clean("an answer", &answer.to_string(), secrets);
    }
    for process in processes {
        assert_clean("a log", &process.log().unwrap(), secrets);
    }
}

const CLIENT_SECRET: &str = "canary-8e41d07c66-secret-of-the-app";

/// A browser without a screen: it keeps the cookies of one host and follows redirects.
async fn browse(mut address: Url) -> Vec<String> {
    let policy = AddressPolicy {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
    };
    let outbound = Outbound::new(OutboundConfig {
        policy,
        ..OutboundConfig::default()
    });
    let outbound = outbound.unwrap();
    let mut cookies: Vec<String> = Vec::new();
    let mut said = Vec::new();
    for _ in 0..8 {
        let mut request = OutboundRequest::get(address.clone());
        if !cookies.is_empty() {
            let line = cookies.join("; ").parse().unwrap();
            request = request.header(header::COOKIE, line);
        }
        let answer = outbound.send(request).await.unwrap();
        let set = answer.headers.get_all(header::SET_COOKIE).iter();
        cookies.extend(set.map(|line| {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            pair.to_owned()
        }));
        said.push(String::from_utf8(answer.body.clone()).unwrap());
        let Some(next) = answer.headers.get(header::LOCATION) else {
            return said;
        };
        address = address.join(next.to_str().unwrap()).unwrap();
    }
    panic!("the consent goes round in circles: {said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_of_a_consent_stands_anywhere_in_clear() {
    let mut fleet = Fleet::prepare().await;
    fleet.log_level = "trace";
    fleet.client = ("canary-app".to_owned(), CLIENT_SECRET.to_owned());
    let oauth = fleet.sandbox.square.oauth.clone();
    oauth.add_client(Client::new("canary-app", CLIENT_SECRET));
    oauth.answer_always(Some(Answer::default()));
    let processes = [
        fleet.api().await,
        fleet.scheduler().await,
        fleet.worker().await,
    ];
    let asked = fleet.post("authorize/square", &json!({})).await;
    let pages = browse(asked["url"].as_str().unwrap().parse().unwrap()).await;
    let end = pages.last().unwrap();
    assert!(end.contains("onnected"), "{end}");
    // A refresh on the way, and a revocation at the end.
    oauth.expire(None, Kind::default());
    let mut said = vec![
        fleet.json(&["sync", "square", "--stream", "customers", "--follow"]),
        fleet.json(&["connections", "show", "square"]),
    ];
    assert_eq!(oauth.refresh_calls(), 1, "{said:?}");
    let connection = said[1]["id"].as_str().unwrap().to_owned();
    fleet
        .post(
            &format!("connections/{connection}/revoke?wait=10"),
            &json!({}),
        )
        .await;
    let ended = async {
        while oauth.grants()[0].ended.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), ended)
        .await
        .expect("the grant is revoked at the provider");
    said.push(fleet.json(&["connections", "show", "square"]));
    said.push(fleet.json(&["jobs"]));
    said.extend(pages.into_iter().map(Value::from));

    let mut secrets = oauth.minted();
    assert!(
        secrets.len() >= 4,
        "a code, a refresh token, two access tokens"
    );
    secrets.push(CLIENT_SECRET.to_owned());
    assert_clean_everywhere(&fleet, &processes, &said, &secrets).await;
}
