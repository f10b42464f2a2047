//! Changes that several admins make at the same moment.

use axum::http::Method;
use futures::future::join_all;
use serde_json::json;

use super::{desk::Desk, on_both_databases};

on_both_databases!(
    limits_changed_at_once_are_all_kept,
    there_are_ten_channels_at_most_also_when_they_are_set_at_once,
);

async fn limits_changed_at_once_are_all_kept(desk: Desk) {
    let office = &desk.office;
    for round in 1..=10 {
        let bodies = [
            json!({ "failures_in_a_row": 10 + round }),
            json!({ "schedule_lag_seconds": 1000 + round }),
            json!({ "queue_age_seconds": 2000 + round }),
            json!({ "quiet_seconds": 3000 + round }),
        ];
        let puts = bodies.iter().map(|body| {
            office.call(
                &office.key,
                Method::PUT,
                "/alert-limits",
                Some(body.clone()),
            )
        });
        for said in join_all(puts).await {
            said.json(200);
        }
        let limits = office.get("/alert-limits").await.json(200);
        for body in bodies {
            for (name, value) in body.as_object().unwrap() {
                assert_eq!(&limits[name], value, "{round}: {limits}");
            }
        }
    }
}

async fn there_are_ten_channels_at_most_also_when_they_are_set_at_once(desk: Desk) {
    let sets = (0..16).map(|at| {
        let body = json!({ "url": format!("{}/{at}", desk.receiver.url()) });
        let path = "/alert-channels/webhooks";
        desk.office
            .call(&desk.office.key, Method::POST, path, Some(body))
    });
    let said = join_all(sets).await;
    let taken = said.iter().filter(|said| said.status == 202).count();
    let refused = said.iter().filter(|said| said.status == 422).count();
    assert_eq!((taken, refused), (10, 6), "{said:?}");
    let all = desk.office.get("/alert-channels").await.json(200);
    assert_eq!(all.as_array().unwrap().len(), 10);
}
