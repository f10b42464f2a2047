//! Progress streams: the whole picture first, state and not delta, an end.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::{Method, Request, Response},
};
use futures::StreamExt;
use patchbay_core::{
    connection::ConnectionStatus, hints::Signal, ids::JobId, job::Settle, store::alerts::AlertWalk,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::desk::{Desk, SECRET, desk};

/// Longer than any read by the clock, so that a lost event fails the test and a slow machine does not.
const PATIENCE: Duration = Duration::from_secs(20);

/// One event of a stream.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

/// A reader of a stream.
struct Reader {
    body: BodyDataStream,
    buffer: String,
}

impl Reader {
    fn of(response: Response<Body>) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body().into_data_stream(),
            buffer: String::new(),
        }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.buffer = rest;
                let field = |name: &str| {
                    let prefix = format!("{name}: ");
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(&prefix))
                        .map(str::to_owned)
                };
                if let Some(data) = field("data") {
                    return Some(Event {
                        name: field("event").unwrap(),
                        id: field("id").unwrap_or_default(),
                        data: serde_json::from_str(&data).unwrap(),
                    });
                }
                continue;
            }
            let bytes = tokio::time::timeout(PATIENCE, self.body.next())
                .await
                .expect("an event in time")?;
            self.buffer
                .push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
        }
    }

    async fn event(&mut self) -> Event {
        self.next().await.expect("the stream goes on")
    }
}

async fn open(desk: &Desk, path: &str, last_id: Option<&str>) -> Response<Body> {
    let mut request = desk.request(&desk.viewer, Method::GET, path);
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let request: Request<Body> = request.body(Body::empty()).unwrap();
    desk.router.clone().oneshot(request).await.unwrap()
}

async fn follow(desk: &Desk, job: JobId) -> Reader {
    Reader::of(open(desk, &format!("/jobs/{job}/events"), None).await)
}

#[tokio::test]
async fn a_job_is_followed_from_its_present_picture_to_its_end() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let mut reader = follow(&desk, job.id).await;
    let first = reader.event().await;
    assert_eq!(
        (first.name.as_str(), &first.data["state"]),
        ("progress", &json!("queued"))
    );

    let claimed = desk.claim(job.id).await;
    desk.progress(&claimed, 10).await;
    let mut last = reader.event().await;
    while last.data["progress"]["done"] != 10 {
        last = reader.event().await;
    }
    assert_eq!(
        (last.id.as_str(), &last.data["state"]),
        ("1-2", &json!("running"))
    );

    desk.end(
        &claimed,
        Settle::Succeed {
            result: json!({ "did": 10 }),
        },
    )
    .await;
    let mut last = reader.event().await;
    while last.name != "end" {
        last = reader.event().await;
    }
    assert_eq!(
        (&last.data["state"], &last.data["result"]),
        (&json!("succeeded"), &json!({ "did": 10 }))
    );
    assert!(
        reader.next().await.is_none(),
        "the stream closes after its end"
    );
}

#[tokio::test]
async fn a_reconnect_gets_the_present_state_and_after_the_end_no_content() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let claimed = desk.claim(job.id).await;
    desk.progress(&claimed, 7).await;
    let path = format!("/jobs/{}/events", job.id);
    let mut again = Reader::of(open(&desk, &path, Some("0-0")).await);
    assert_eq!(again.event().await.data["progress"]["done"], 7);

    desk.end(&claimed, Settle::Succeed { result: json!({}) })
        .await;
    let mut late = follow(&desk, job.id).await;
    let picture = late.event().await;
    assert_eq!(
        (picture.name.as_str(), &picture.data["state"]),
        ("progress", &json!("succeeded"))
    );
    let end = late.event().await;
    assert_eq!(end.name, "end");
    assert_eq!(open(&desk, &path, Some(&end.id)).await.status(), 204);
    assert_eq!(open(&desk, &path, Some("1-2")).await.status(), 200);
}

#[tokio::test]
async fn a_reader_that_sleeps_gets_the_latest_picture_and_not_every_one_between() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let claimed = desk.claim(job.id).await;
    let mut slow = follow(&desk, job.id).await;
    let mut quick = follow(&desk, job.id).await;
    slow.event().await;
    for done in 1..=30 {
        desk.progress(&claimed, done).await;
        let mut seen = 0;
        // The quick reader sees each, which spaces them as a worker would.
        while seen < done {
            seen = quick.event().await.data["progress"]["done"]
                .as_u64()
                .unwrap_or(0);
        }
    }
    assert_eq!(slow.event().await.data["progress"]["done"], 30);
}

#[tokio::test]
async fn progress_never_goes_back() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let claimed = desk.claim(job.id).await;
    let mut readers = Vec::new();
    for done in 1..=20 {
        readers.push(follow(&desk, job.id).await);
        desk.progress(&claimed, done).await;
    }
    desk.end(&claimed, Settle::Succeed { result: json!({}) })
        .await;
    for mut reader in readers {
        let mut shown = 0;
        while let Some(event) = reader.next().await {
            let done = event.data["progress"]["done"].as_u64().unwrap_or(0);
            assert!(done >= shown, "{done} after {shown}");
            shown = done;
        }
        assert_eq!(shown, 20);
    }
}

#[tokio::test]
async fn without_signals_progress_is_read_by_the_clock() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let mut reader = follow(&desk, job.id).await;
    reader.event().await;
    let tx = desk.store.begin().await.unwrap();
    desk.store
        .jobs()
        .cancel(&tx, desk.org, job.id)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // Nobody tells.
    let mut last = reader.event().await;
    while last.name != "end" {
        last = reader.event().await;
    }
    assert_eq!(last.data["state"], "cancelled");
}

#[tokio::test]
async fn an_organizations_stream_begins_with_a_picture_and_goes_on_with_changes() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let job = desk.noop_job().await;
    let mut reader = Reader::of(open(&desk, "/stream", None).await);
    let picture = reader.event().await;
    assert_eq!(picture.name, "picture");
    assert_eq!(picture.data["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(picture.data["jobs"][0]["id"], job.id.to_string());
    assert_eq!(picture.data["connections"][0]["id"], connection.to_string());

    let claimed = desk.claim(job.id).await;
    desk.progress(&claimed, 3).await;
    let mut event = reader.event().await;
    while event.data["progress"]["done"] != 3 {
        event = reader.event().await;
    }
    assert_eq!(
        (event.name.as_str(), &event.data["id"]),
        ("job", &json!(job.id.to_string()))
    );

    desk.post(&format!("/connections/{connection}/disable"), json!({}))
        .await
        .expect(200);
    while event.name != "connection" {
        event = reader.event().await;
    }
    assert_eq!(event.data["status"], "disabled");

    let mut stranger = {
        let request = desk
            .request(&desk.stranger, Method::GET, "/stream")
            .body(Body::empty())
            .unwrap();
        Reader::of(desk.router.clone().oneshot(request).await.unwrap())
    };
    let theirs = stranger.event().await;
    assert_eq!(
        (&theirs.data["jobs"], &theirs.data["connections"]),
        (&json!([]), &json!([]))
    );
}

/// The next event of an alert.
async fn alert(reader: &mut Reader) -> Value {
    loop {
        let event = reader.event().await;
        if event.name == "alert" {
            return event.data;
        }
    }
}

/// A scheduler looks, and tells of what it changed.
async fn look(desk: &Desk) {
    let mut walk = AlertWalk::default();
    for changed in desk.store.look_for_alerts(&mut walk).await.unwrap() {
        let signal = Signal::Alert {
            org: changed.org,
            alert: changed.alert,
        };
        desk.hints.signal(signal).await.unwrap();
    }
}

#[tokio::test]
async fn an_organizations_stream_tells_of_its_alerts() {
    let desk = desk().await;
    let mut reader = Reader::of(open(&desk, "/stream", None).await);
    let mut stranger = {
        let request = desk.request(&desk.stranger, Method::GET, "/stream");
        let request = request.body(Body::empty()).unwrap();
        Reader::of(desk.router.clone().oneshot(request).await.unwrap())
    };
    assert_eq!(reader.event().await.data["alerts"], json!([]));
    assert_eq!(stranger.event().await.data["alerts"], json!([]));

    let id = desk.connection(ConnectionStatus::Error).await;
    look(&desk).await;
    let raised = alert(&mut reader).await;
    assert_eq!(
        (&raised["kind"], &raised["state"]),
        (&json!("credential_refused"), &json!("open"))
    );
    assert_eq!(raised["connection_id"], json!(id));
    for words in ["title", "meaning", "impact", "next_action"] {
        assert!(!raised[words].as_str().unwrap().is_empty(), "{words}");
    }
    let path = format!("/alerts/{}", raised["id"].as_str().unwrap());
    assert_eq!(desk.get(&path).await.expect(200), raised);

    // Who comes now gets it with the picture.
    let mut late = Reader::of(open(&desk, "/stream", None).await);
    assert_eq!(late.event().await.data["alerts"], json!([raised]));

    desk.post(&format!("{path}/acknowledge"), json!({}))
        .await
        .expect(200);
    assert_eq!(alert(&mut reader).await["state"], "acknowledged");
    let until = desk.store.clock().now() + chrono::TimeDelta::hours(1);
    desk.post(&format!("{path}/silence"), json!({ "until": until }))
        .await
        .expect(200);
    assert!(alert(&mut reader).await["silenced_until"].is_string());

    let tx = desk.store.begin().await.unwrap();
    let row = desk.store.lock_connection(&tx, desk.org, id).await.unwrap();
    desk.store
        .restore_connection(&tx, &row.unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    look(&desk).await;
    let over = alert(&mut reader).await;
    assert_eq!(
        (&over["id"], &over["state"]),
        (&raised["id"], &json!("resolved"))
    );
    let mut after = Reader::of(open(&desk, "/stream", None).await);
    assert_eq!(after.event().await.data["alerts"], json!([]));

    let events = desk.get("/events").await.expect(200);
    let kinds: Vec<&str> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .filter(|kind| kind.starts_with("alert."))
        .collect();
    assert_eq!(
        kinds,
        [
            "alert.resolved",
            "alert.silenced",
            "alert.acknowledged",
            "alert.raised"
        ]
    );
    // Nothing of it went to the other organization: its next event is one of its own.
    let body = json!({ "provider": "square", "credential": { "access_token": SECRET } });
    desk.ask_as(&desk.stranger, Method::POST, "/connections", Some(body))
        .await
        .expect(202);
    assert_ne!(stranger.event().await.name, "alert");
}
