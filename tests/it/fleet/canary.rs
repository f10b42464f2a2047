//! A marked token goes through a whole fleet that logs everything it can; then it
//! is looked for in every place where it could have been left.

use std::time::Duration;

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

use super::{
    needles::{assert_clean, found},
    recording::{Recording, answer},
    stage::Fleet,
};

const CANARY: &str = "canary-3b1f9c27d5-token-of-the-merchant";

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
    let stream = Recording::of(&fleet, "stream").await;
    fleet.connect_with(CANARY);
    let (job, followed) = followed_sync(&fleet).await;
    let shown = fleet.json(&["connections", "show", "square"]);
    let connection = shown["id"].as_str().unwrap().to_owned();
    let said = [
        fleet.json(&["sync", "square", "--stream", "customers", "--follow"]),
        shown,
        fleet.json(&["jobs"]),
    ];
    let wrong = format!("{CANARY}-and-more");
    fleet.refused_with(&wrong);

    let secrets = [CANARY.to_owned()];
    let answers = answers(&fleet, &connection, &job).await;
    assert_streamed(&stream, &connection, &job).await;
    let told = Told {
        said: &said,
        streams: &[stream.text(), followed],
        answers: &answers,
    };
    assert_clean_everywhere(&fleet, &processes, &told, &secrets).await;
    a_planted_text_is_found(&fleet, &connection, &job, &stream).await;
}

/// Starts a sync and reads its progress to the end; the job, and all that was read.
async fn followed_sync(fleet: &Fleet) -> (String, String) {
    let started = fleet.json(&["sync", "square", "--stream", "customers"]);
    let job = started["jobs"][0].get("id").or(started[0].get("id"));
    let job = job.and_then(Value::as_str);
    let job = job.unwrap_or_else(|| panic!("no job in {started}"));
    let events = Recording::of(fleet, &format!("jobs/{job}/events")).await;
    let followed = events.ended().await;
    assert!(followed.contains("event: end"), "{followed}");
    assert!(followed.contains("\"succeeded\""), "{followed}");
    (job.to_owned(), followed)
}

/// The org's stream has told of the connection and of its work, which is none of a picture.
async fn assert_streamed(stream: &Recording, connection: &str, job: &str) {
    for text in ["event: picture", "event: job", "event: connection"] {
        stream.until(text).await;
    }
    stream.until(connection).await;
    stream.until(job).await;
}

/// Whatever can be read of a connection and its work, to the byte.
async fn answers(fleet: &Fleet, connection: &str, job: &str) -> Vec<String> {
    let paths = [
        "connections".to_owned(),
        format!("connections/{connection}"),
        format!("connections/{connection}/health"),
        format!("connections/{connection}/records?stream=customers"),
        "events".to_owned(),
        "jobs".to_owned(),
        format!("jobs/{job}"),
        format!("jobs/{job}/logs"),
        "oauth-clients".to_owned(),
        "alerts".to_owned(),
        "stats".to_owned(),
    ];
    let mut answers = Vec::new();
    for path in paths {
        answers.push(answer(fleet, "GET", &path, "").await);
    }
    answers
}

/// What a fleet has told.
struct Told<'a> {
    /// By commands and pages.
    said: &'a [Value],
    /// By server-sent events.
    streams: &'a [String],
    /// By the API, to the byte.
    answers: &'a [String],
}

async fn assert_clean_everywhere(
    fleet: &Fleet,
    processes: &[Process],
    told: &Told<'_>,
    secrets: &[String],
) {
    assert_clean("the database", &database_dump(fleet).await, secrets);
    assert_clean("Redis", &redis_dump(fleet), secrets);
    for answer in told.said {
        assert_clean("an answer", &answer.to_string(), secrets);
    }
    for answer in told.answers {
        assert_clean("an answer of the API", answer, secrets);
    }
    for stream in told.streams {
        assert_clean("a stream of events", stream, secrets);
    }
    for process in processes {
        let log = process.log().unwrap();
        assert!(log.contains("TRACE"), "everything is logged");
        assert_clean("a log", &log, secrets);
    }
}

const PLANTED: &str = "planted-5d80e2f6b1-name-of-a-connection";

/// The searches can fail: a text that is shown and kept in clear is found wherever it is.
async fn a_planted_text_is_found(fleet: &Fleet, connection: &str, job: &str, stream: &Recording) {
    let body = json!({ "name": PLANTED }).to_string();
    answer(fleet, "PATCH", &format!("connections/{connection}"), &body).await;
    stream.until(PLANTED).await;
    let client = redis::Client::open(fleet.redis.url()).unwrap();
    let value = format!("{}{PLANTED}{PLANTED}", "x".repeat(500));
    redis::cmd("SET")
        .arg("planted")
        .arg(value)
        .exec(&mut client.get_connection().unwrap())
        .unwrap();
    let answers = answers(fleet, connection, job).await.concat();
    for (place, text) in [
        ("the database", database_dump(fleet).await),
        ("Redis", redis_dump(fleet)),
        ("the stream", stream.text()),
        ("the answers", answers),
    ] {
        assert!(found(&text, PLANTED).is_some(), "not found in {place}");
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
    let stream = Recording::of(&fleet, "stream").await;
    let asked = fleet.post("authorize/square", &json!({})).await;
    let pages = browse(asked["url"].as_str().unwrap().parse().unwrap()).await;
    let end = pages.last().unwrap();
    assert!(end.contains("onnected"), "{end}");
    // A refresh on the way, and a revocation at the end.
    oauth.expire(None, Kind::default());
    let (job, followed) = followed_sync(&fleet).await;
    let mut said = vec![fleet.json(&["connections", "show", "square"])];
    assert_eq!(oauth.refresh_calls(), 1, "{followed}");
    let connection = said[0]["id"].as_str().unwrap().to_owned();
    let consent = format!("consents/{}", asked["consent_id"].as_str().unwrap());
    let mut answers_before = answers(&fleet, &connection, &job).await;
    answers_before.push(answer(&fleet, "GET", &consent, "").await);
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
    let mut answers = answers(&fleet, &connection, &job).await;
    answers.append(&mut answers_before);
    assert_streamed(&stream, &connection, &job).await;
    let told = Told {
        said: &said,
        streams: &[stream.text(), followed],
        answers: &answers,
    };
    assert_clean_everywhere(&fleet, &processes, &told, &secrets).await;
}
