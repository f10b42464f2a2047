//! Schedules: made, read, changed, stopped, run now.

use axum::http::Method;
use patchbay_core::{connection::ConnectionStatus, ids::ConnectionId};
use patchbay_providers::SyncArgs;
use serde_json::{Value, json};

use crate::desk::{Desk, desk};

async fn made(desk: &Desk, connection: ConnectionId, body: Value) -> Value {
    let path = format!("/connections/{connection}/schedules");
    desk.post(&path, body).await.expect(201)
}

fn at(schedule: &Value, tail: &str) -> String {
    format!("/schedules/{}{tail}", schedule["id"].as_str().unwrap())
}

fn times(schedule: &Value) -> Vec<chrono::DateTime<chrono::Utc>> {
    let next = schedule["next"].as_array().unwrap().iter();
    next.map(|time| time.as_str().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn a_schedule_shows_its_next_times_a_jitter_after_the_clock() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let body = json!({ "stream": "sales", "cron": " 30  2 * * * ", "time_zone": "Asia/Tokyo" });
    let schedule = made(&desk, connection, body).await;
    assert_eq!(
        (
            &schedule["pull"],
            &schedule["misfire"],
            &schedule["state"],
            &schedule["cron"],
            &schedule["every"],
            &schedule["note"],
            &schedule["last"]
        ),
        (
            &json!("incremental"),
            &json!("last"),
            &json!("active"),
            &json!("30 2 * * *"),
            &json!(null),
            &json!(null),
            &json!(null)
        )
    );
    let jitter = schedule["jitter_seconds"].as_i64().unwrap();
    assert!((0..60).contains(&jitter));
    let next = times(&schedule);
    assert_eq!(next.len(), 5);
    for time in next {
        let nominal = time - chrono::TimeDelta::seconds(jitter);
        assert_eq!(nominal.format("%H:%M:%S").to_string(), "17:30:00");
    }
    let read = desk.get(&at(&schedule, "")).await.expect(200);
    assert_eq!(read, schedule);
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let path = format!("/connections/{connection}/schedules");
    for (body, pointers) in [
        (json!({}), vec!["/stream"]),
        (json!({ "stream": "catalog" }), vec!["/every"]),
        (
            json!({ "stream": "catalog", "every": "10s" }),
            vec!["/every"],
        ),
        (json!({ "stream": "catalog", "every": 5 }), vec!["/every"]),
        (
            json!({ "stream": "weather", "every": "90d", "pull": "sideways", "misfire": "some" }),
            vec!["/misfire", "/pull", "/stream", "/every"],
        ),
        (
            json!({ "stream": "catalog", "cron": "61 * * * *", "time_zone": "Berlin" }),
            vec!["/cron", "/time_zone"],
        ),
        (
            json!({ "stream": "catalog", "cron": "* * * *", "every": "1h" }),
            vec!["/cron", "/cron"],
        ),
        (
            json!({ "stream": "catalog", "every": "1h", "time_zone": "UTC" }),
            vec!["/time_zone"],
        ),
        (
            json!({ "stream": "catalog", "every": "1h", "pull": "last_24h" }),
            vec!["/pull"],
        ),
        (
            json!({ "stream": "catalog", "cron": 5, "time_zone": "UTC", "speed": 1 }),
            vec!["/cron", "/speed"],
        ),
    ] {
        assert_eq!(
            desk.post(&path, body.clone()).await.pointers(),
            pointers,
            "{body}"
        );
    }
    let all = desk.get("/schedules").await.expect(200);
    assert_eq!(all["data"], json!([]));
}

#[tokio::test]
async fn a_repeated_request_makes_one_schedule() {
    let desk = desk().await;
    let path = format!("/connections/{}/schedules", desk.active_connection().await);
    let send = async || {
        let body = json!({ "stream": "catalog", "every": "1h" }).to_string();
        let request = desk
            .request(&desk.owner, Method::POST, &path)
            .header("content-type", "application/json")
            .header("idempotency-key", "once");
        desk.send(request.body(body.into()).unwrap())
            .await
            .expect(201)
    };
    let (first, second) = (send().await, send().await);
    assert_eq!(first["id"], second["id"]);
    let all = desk.get(&path).await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_come_in_pages_and_of_one_connection() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    for _ in 0..3 {
        made(
            &desk,
            connection,
            json!({ "stream": "catalog", "every": "1h" }),
        )
        .await;
    }
    let first = desk.get("/schedules?limit=2").await.expect(200);
    let cursor = first["next"].as_str().unwrap();
    let second = desk
        .get(&format!("/schedules?limit=2&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(first["data"].as_array().unwrap().len(), 2);
    assert_eq!(second["data"].as_array().unwrap().len(), 1);
    assert_eq!(second["next"], json!(null));
    let theirs = desk
        .ask_as(
            &desk.stranger,
            Method::GET,
            &format!("/connections/{connection}/schedules"),
            None,
        )
        .await;
    theirs.problem(404, "not-found");
    let none = desk.ask_as(&desk.stranger, Method::GET, "/schedules", None);
    assert_eq!(none.await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn a_change_is_seen_in_the_next_times() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let body = json!({ "stream": "sales", "every": "1h" });
    let schedule = made(&desk, connection, body).await;
    let change = async |body: Value| {
        desk.ask(Method::PATCH, &at(&schedule, ""), Some(body))
            .await
    };
    let body = json!({ "cron": "0 12 * * *", "time_zone": "America/New_York", "pull": "last_24h", "misfire": "skip" });
    let changed = change(body).await.expect(200);
    assert_eq!(
        (&changed["every"], &changed["pull"], &changed["misfire"]),
        (&json!(null), &json!("last_24h"), &json!("skip"))
    );
    let moved = change(json!({ "time_zone": "Europe/Berlin" }))
        .await
        .expect(200);
    assert_eq!(
        (&moved["cron"], &moved["time_zone"]),
        (&json!("0 12 * * *"), &json!("Europe/Berlin"))
    );
    assert_ne!(times(&moved), times(&changed));
    let kept = change(json!({ "cron": "0 13 * * *" })).await.expect(200);
    assert_eq!(kept["time_zone"], "Europe/Berlin", "the place stays");
    let back = change(json!({ "every": "15m" })).await.expect(200);
    assert_eq!(
        (&back["cron"], &back["time_zone"], &back["every"]),
        (&json!(null), &json!(null), &json!("15m"))
    );
    assert_eq!(
        change(json!({ "time_zone": "UTC" })).await.pointers(),
        ["/time_zone"],
        "there is no pattern"
    );
    assert_eq!(
        change(json!({ "every": "x", "pull": 7 })).await.pointers(),
        ["/pull", "/every"]
    );
    let none = change(json!({})).await.expect(200);
    assert_eq!(none["updated_at"], back["updated_at"]);
}

#[tokio::test]
async fn a_paused_schedule_has_no_next_times_until_it_is_resumed() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let schedule = made(
        &desk,
        connection,
        json!({ "stream": "catalog", "every": "1h" }),
    )
    .await;
    for _ in 0..2 {
        let paused = desk.post(&at(&schedule, "/pause"), json!({})).await;
        let paused = paused.expect(200);
        assert_eq!(
            (&paused["state"], &paused["next"]),
            (&json!("paused"), &json!([]))
        );
    }
    for _ in 0..2 {
        let resumed = desk.post(&at(&schedule, "/resume"), json!({})).await;
        let resumed = resumed.expect(200);
        assert_eq!(resumed["state"], "active");
        assert_eq!(times(&resumed).len(), 5);
    }
    let events = desk.get("/events").await.expect(200);
    let kinds: Vec<&str> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .filter(|kind| kind.starts_with("schedule."))
        .collect();
    assert_eq!(
        kinds,
        ["schedule.resumed", "schedule.paused", "schedule.created"],
        "each once"
    );
}

#[tokio::test]
async fn a_run_now_answers_the_job_and_leaves_the_next_times() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let body = json!({ "stream": "sales", "every": "1h", "pull": "last_7_days" });
    let schedule = made(&desk, connection, body).await;
    let job = desk.post(&at(&schedule, "/run"), json!({})).await;
    let job = job.expect(202);
    assert_eq!(
        (&job["kind"], &job["state"]),
        (&json!("sync"), &json!("queued"))
    );
    let args: SyncArgs = serde_json::from_value(job["args"].clone()).unwrap();
    assert_eq!(args.stream, "sales");
    let again = desk.post(&at(&schedule, "/run"), json!({})).await;
    assert_eq!(again.expect(202)["id"], job["id"], "it waits already");
    // A person's own request for the same is the same work.
    let asked = json!({ "streams": ["sales"], "mode": "range", "preset": "last_7_days" });
    let asked = desk
        .post(&format!("/connections/{connection}/sync"), asked)
        .await;
    assert_eq!(asked.expect(202)["jobs"][0]["id"], job["id"]);
    let after = desk.get(&at(&schedule, "")).await.expect(200);
    assert_eq!(after["next"], schedule["next"]);
}

#[tokio::test]
async fn the_connection_decides_whether_a_run_starts_waits_or_is_refused() {
    for (status, job, state) in [
        (ConnectionStatus::Active, Some("queued"), "active"),
        (ConnectionStatus::Expired, Some("parked"), "active"),
        (ConnectionStatus::Error, Some("parked"), "active"),
        (ConnectionStatus::Disabled, None, "held"),
        (ConnectionStatus::Pending, None, "held"),
    ] {
        let desk = desk().await;
        let connection = desk.connection(status).await;
        let schedule = made(
            &desk,
            connection,
            json!({ "stream": "catalog", "every": "1h" }),
        )
        .await;
        assert_eq!(schedule["state"], state, "{status:?}");
        assert_eq!(
            schedule["note"].is_null(),
            status == ConnectionStatus::Active,
            "{status:?}"
        );
        let ran = desk.post(&at(&schedule, "/run"), json!({})).await;
        match job {
            Some(expected) => assert_eq!(ran.expect(202)["state"], expected, "{status:?}"),
            None => {
                ran.problem(409, "connection-state");
            }
        }
    }
}

#[tokio::test]
async fn schedules_go_with_their_connection_and_none_is_made_afterwards() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let schedule = made(
        &desk,
        connection,
        json!({ "stream": "catalog", "every": "1h" }),
    )
    .await;
    desk.ask(Method::DELETE, &format!("/connections/{connection}"), None)
        .await
        .expect(200);
    desk.get(&at(&schedule, "")).await.problem(404, "not-found");
    let path = format!("/connections/{connection}/schedules");
    let body = json!({ "stream": "catalog", "every": "1h" });
    desk.post(&path, body)
        .await
        .problem(409, "connection-state");
}

#[tokio::test]
async fn a_deleted_schedule_is_gone() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let schedule = made(
        &desk,
        connection,
        json!({ "stream": "catalog", "every": "1h" }),
    )
    .await;
    let gone = desk.ask(Method::DELETE, &at(&schedule, ""), None).await;
    assert_eq!(gone.status.as_u16(), 204);
    for tail in ["", "/pause", "/resume", "/run"] {
        let method = if tail.is_empty() {
            Method::DELETE
        } else {
            Method::POST
        };
        let body = (!tail.is_empty()).then(|| json!({}));
        let answer = desk.ask(method, &at(&schedule, tail), body).await;
        answer.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_connection_has_a_hundred_schedules_at_most() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    for _ in 0..100 {
        made(
            &desk,
            connection,
            json!({ "stream": "catalog", "every": "1h" }),
        )
        .await;
    }
    let path = format!("/connections/{connection}/schedules");
    let body = json!({ "stream": "catalog", "every": "1h" });
    desk.post(&path, body)
        .await
        .problem(409, "connection-state");
}

#[tokio::test]
async fn what_the_clock_did_is_shown() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let schedule = made(
        &desk,
        connection,
        json!({ "stream": "catalog", "every": "1m" }),
    )
    .await;
    let due = times(&schedule)[0];
    // On PostgreSQL the database's own clock decides; there the row is made due.
    let sql = match desk.store.is_one_process() {
        true => None,
        false => Some(
            "update schedules set tick = tick - interval '1 minute', next_at = next_at - interval '1 minute'",
        ),
    };
    match sql {
        Some(sql) => {
            use sea_orm::ConnectionTrait;
            desk.store.db().execute_unprepared(sql).await.unwrap();
        }
        None => {
            use patchbay_core::clock::Clock;
            desk.clock
                .advance(due - desk.clock.now() + chrono::TimeDelta::seconds(1));
        }
    }
    assert_eq!(desk.store.tick_schedules(10).await.unwrap().schedules, 1);
    let after = desk.get(&at(&schedule, "")).await.expect(200);
    assert_eq!(after["last"]["outcome"], "made");
    let job = after["last"]["job_id"].as_str().unwrap();
    let job = desk.get(&format!("/jobs/{job}")).await.expect(200);
    assert_eq!(job["requested_by"], "schedule");
}
