//! Jobs: lists, logs, and what a person can do with one.

use chrono::TimeDelta;
use patchbay_core::{
    failure::{Failure, FailureKind},
    ids::JobId,
    job::{CRASHES_TO_QUARANTINE, CRASHES_TO_RUN_ALONE, JobKind, NewJob, Queue, Settle},
    store::jobs::LogLine,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::{Value, json};

use crate::desk::{Desk, desk};

fn failed() -> Settle {
    Settle::Fail {
        failure: Failure::new(FailureKind::Invalid, "it broke", "mend it"),
    }
}

#[tokio::test]
async fn the_list_pages_newest_first_and_filters() {
    let desk = desk().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(desk.noop_job().await.id.to_string());
    }
    ids.reverse();
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/jobs?limit=2".to_owned();
    loop {
        let page = desk.get(&path).await.expect(200);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|job| job["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/jobs?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    for (query, count) in [
        ("state=queued", 5),
        ("state=running", 0),
        ("kind=sync", 0),
        ("queue=maintenance", 5),
        ("dead=true", 0),
    ] {
        let page = desk.get(&format!("/jobs?{query}")).await.expect(200);
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_dead_job_is_retried_or_discarded_by_a_person() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let path = format!("/jobs/{}", job.id);
    desk.post(&format!("{path}/retry"), json!({}))
        .await
        .problem(409, "job-state");
    desk.post(&format!("{path}/discard"), json!({}))
        .await
        .problem(409, "job-state");

    let claimed = desk.claim(job.id).await;
    desk.end(&claimed, failed()).await;
    assert_eq!(
        desk.get("/jobs?dead=true").await.expect(200)["data"][0]["error"]["message"],
        "it broke"
    );
    assert_eq!(desk.get("/stats").await.expect(200)["dead"], 1);
    let again = desk
        .post(&format!("{path}/retry"), json!({}))
        .await
        .expect(202);
    assert_eq!(
        (&again["state"], &again["attempt"]),
        (&json!("queued"), &json!(0))
    );

    let claimed = desk.claim(job.id).await;
    desk.end(&claimed, failed()).await;
    let discarded = desk
        .post(&format!("{path}/discard"), json!({}))
        .await
        .expect(200);
    assert!(discarded["discarded_at"].is_string(), "{discarded:#}");
    assert_eq!(
        desk.get("/jobs?dead=true").await.expect(200)["data"],
        json!([])
    );
    desk.post(&format!("{path}/cancel"), json!({}))
        .await
        .problem(409, "job-state");
}

#[tokio::test]
async fn a_running_job_is_cancelled_and_its_worker_has_lost_it() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let claimed = desk.claim(job.id).await;
    let cancelled = desk
        .post(&format!("/jobs/{}/cancel", job.id), json!({}))
        .await
        .expect(200);
    assert_eq!(cancelled["state"], "cancelled");
    let tx = desk.store.begin().await.unwrap();
    let lease = patchbay_core::job::Lease {
        job: job.id,
        epoch: claimed.lease_epoch,
    };
    assert!(
        !desk.store.jobs().fence(&tx, lease).await.unwrap(),
        "a cancelled body could still write"
    );
    tx.rollback().await.unwrap();
    let events = desk
        .get(&format!("/events?job={}", job.id))
        .await
        .expect(200);
    assert_eq!(events["data"][0]["kind"], "job.cancelled");
}

#[tokio::test]
async fn a_wait_that_is_over_answers_with_the_present_state() {
    let desk = desk().await;
    let job = desk.noop_job().await;
    let read = desk
        .get(&format!("/jobs/{}?wait=1", job.id))
        .await
        .expect(200);
    assert_eq!(read["state"], "queued");
}

#[tokio::test]
async fn logs_page_oldest_first() {
    let desk = desk().await;
    let job = desk.noop_job().await.id;
    let line = |n: i32| LogLine {
        level: "info".into(),
        attempt: 1,
        message: format!("line {n}"),
        fields: json!({ "n": n }),
    };
    desk.store
        .jobs()
        .append_logs(job, (0..3).map(line).collect())
        .await
        .unwrap();
    let first = desk
        .get(&format!("/jobs/{job}/logs?limit=2"))
        .await
        .expect(200);
    let next = first["next"].as_str().unwrap();
    let second = desk
        .get(&format!("/jobs/{job}/logs?limit=2&cursor={next}"))
        .await
        .expect(200);
    let messages: Vec<&Value> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["data"].as_array().unwrap())
        .map(|line| &line["message"])
        .collect();
    assert_eq!(messages, ["line 0", "line 1", "line 2"]);
    assert_eq!(second["next"], json!(null));
}

/// Dies three times with its process.
async fn quarantine(desk: &Desk, id: JobId) {
    use patchbay_core::entities::process::{Column, Entity};
    let jobs = desk.store.jobs();
    let queue = desk.store.job(desk.org, id).await.unwrap().unwrap().queue;
    for deaths in 0..CRASHES_TO_QUARANTINE {
        let me = desk.worker().await;
        if deaths < CRASHES_TO_RUN_ALONE {
            assert_eq!(jobs.claim(me, queue, &[id]).await.unwrap().len(), 1);
        } else {
            assert_eq!(jobs.make_room(me, &[queue]).await.unwrap(), Some(id));
            let claimed = jobs.claim_alone(me, &[queue]).await.unwrap();
            assert_eq!(claimed.map(|job| job.id), Some(id));
        }
        let past = desk.store.clock().now() - TimeDelta::hours(1);
        Entity::update_many()
            .col_expr(Column::LeaseUntil, Expr::value(past))
            .filter(Column::Id.eq(me))
            .exec(desk.store.db())
            .await
            .unwrap();
        jobs.rescue(desk.worker().await).await.unwrap();
    }
}

#[tokio::test]
async fn a_job_that_was_set_aside_says_what_a_business_notices() {
    let desk = desk().await;
    let connection = desk.active_connection().await;
    let square = desk.get("/providers/square").await.expect(200);
    let impact = &square["impact"];
    assert!(!impact.as_str().unwrap().is_empty());

    let tx = desk.store.begin().await.unwrap();
    let sync = NewJob {
        connection: Some(connection),
        ..NewJob::new(Some(desk.org), JobKind::Sync, Queue::Sync, "test")
    };
    let enqueued = desk.store.jobs().enqueue(&tx, vec![sync]).await.unwrap();
    tx.commit().await.unwrap();
    let id = enqueued[0].job().id;
    quarantine(&desk, id).await;

    let one = desk.get(&format!("/jobs/{id}")).await.expect(200);
    assert_eq!(one["state"], "quarantined");
    let all = desk.get("/jobs?dead=true").await.expect(200);
    let groups = desk.get("/dead-jobs").await.expect(200);
    for job in [&one, &all["data"][0], &groups["groups"][0]["example"]] {
        assert_eq!(job["id"], json!(id));
        assert_eq!(job["error"]["kind"], "crash");
        assert_eq!(&job["error"]["impact"], impact);
        assert_eq!(job["error"]["next_action"]["kind"], "contact_operator");
    }
}
