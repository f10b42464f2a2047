//! A marked token goes through a whole fleet that logs everything it can; then it
//! is looked for in every place where it could have been left.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use patchbay_sandbox::square::{DEFAULT_MERCHANT, Token};
use patchbay_tests::Process;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::stage::Fleet;

const CANARY: &str = "canary-3b1f9c27d5-token-of-the-merchant";

/// The token in every form in which it could have been written: raw, hex, and base64 at
/// each of the three places it can have in a group of three bytes.
fn needles() -> Vec<String> {
    let bytes = CANARY.as_bytes();
    let mut needles = vec![
        CANARY.to_owned(),
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        CANARY.replace('-', "%2D"),
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

fn assert_clean(place: &str, text: &str) {
    assert!(!text.is_empty(), "{place} is empty: nothing was searched");
    for needle in needles() {
        assert!(
            !text.contains(&needle),
            "the token stands in {place} as {needle}"
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

    assert_clean("the database", &database_dump(&fleet).await);
    assert_clean("Redis", &redis_dump(&fleet));
    for answer in said {
        assert_clean("an answer", &answer.to_string());
    }
    for process in processes {
        assert_clean("a log", &process.log().unwrap());
    }
}
