//! Records by stream, in the order of their changes.

use patchbay_core::{
    ids::ConnectionId,
    store::records::{SeenRecord, Sighting},
};
use serde_json::{Value, json};

use crate::desk::{Desk, desk};

async fn write(desk: &Desk, connection: ConnectionId, records: &[(&str, bool)]) {
    let tx = desk.store.begin().await.unwrap();
    let generation = desk
        .store
        .begin_generation(&tx, desk.org, connection, "catalog")
        .await
        .unwrap();
    let sighting = Sighting {
        org: desk.org,
        connection,
        stream: "catalog".into(),
        generation,
        complete: false,
    };
    let seen = records.iter().map(|(id, deleted)| SeenRecord {
        external_id: (*id).into(),
        kind: "item".into(),
        data: json!({ "generation": generation }),
        raw: json!({ "id": id }),
        source_version: None,
        deleted: *deleted,
    });
    desk.store
        .upsert_records(&tx, &sighting, seen.collect())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["external_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_reader_that_keeps_its_cursor_misses_no_change() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let path = format!("/connections/{connection}/records?stream=catalog");
    write(
        &desk,
        connection,
        &[("a", false), ("b", false), ("c", false)],
    )
    .await;

    let first = desk.get(&format!("{path}&limit=2")).await.expect(200);
    assert_eq!(ids(&first), ["a", "b"]);
    assert_eq!(first["data"][0].get("raw"), None);
    // While it reads, a record that it has seen changes.
    write(&desk, connection, &[("a", false)]).await;
    let second = desk
        .get(&format!(
            "{path}&cursor={}",
            first["next"].as_str().unwrap()
        ))
        .await
        .expect(200);
    assert_eq!(ids(&second), ["c", "a"]);
    assert_eq!(second["next"], json!(null));

    let since = second["changed_since"].as_str().unwrap().to_owned();
    assert_eq!(
        ids(&desk
            .get(&format!("{path}&changed_since={since}"))
            .await
            .expect(200)),
        [""; 0]
    );
    write(&desk, connection, &[("b", true)]).await;
    let changed = desk
        .get(&format!("{path}&changed_since={since}&raw=true"))
        .await
        .expect(200);
    assert_eq!(ids(&changed), ["b"]);
    assert!(changed["data"][0]["deleted_at"].is_string());
    assert_eq!(changed["data"][0]["raw"]["id"], "b");
    // Deleted ones are shown on demand.
    assert_eq!(ids(&desk.get(&path).await.expect(200)), ["c", "a"]);
    assert_eq!(
        ids(&desk.get(&format!("{path}&deleted=true")).await.expect(200)),
        ["c", "a", "b"]
    );
}

#[tokio::test]
async fn wrong_requests_for_records() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let path = format!("/connections/{connection}/records");
    assert_eq!(desk.get(&path).await.parameters(), ["stream"]);
    assert_eq!(
        desk.get(&format!("{path}?stream=weather"))
            .await
            .parameters(),
        ["stream"]
    );
    desk.get(&format!("{path}?stream=catalog&cursor=zzz"))
        .await
        .problem(400, "invalid-cursor");
    desk.get(&format!("{path}?stream=catalog&changed_since=zzz"))
        .await
        .problem(400, "invalid-cursor");
}
