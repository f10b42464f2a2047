//! Log lines of a job.

use patchbay_core::{
    entities::job_log,
    ids::JobId,
    store::jobs::{LOG_LINES_KEPT, LogLine},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;

use crate::{
    on_both,
    stage::{Stage, noop},
};

on_both! {
    lines_are_numbered_in_the_order_they_came,
    the_newest_thousand_are_kept,
    a_nul_character_in_a_line_is_replaced,
    an_unknown_level_is_refused,
}

fn line(message: impl Into<String>) -> LogLine {
    LogLine {
        level: "info".into(),
        attempt: 1,
        message: message.into(),
        fields: json!({ "page": 1 }),
    }
}

async fn read(stage: &Stage, job: JobId) -> Vec<job_log::Model> {
    let lines = job_log::Entity::find()
        .filter(job_log::Column::JobId.eq(job))
        .order_by_asc(job_log::Column::Seq);
    lines.all(stage.store.db()).await.unwrap()
}

async fn lines_are_numbered_in_the_order_they_came(stage: Stage) {
    let org = stage.org().await;
    let job = stage.add(noop(org)).await.id;
    stage
        .jobs()
        .append_logs(job, vec![line("one"), line("two")])
        .await
        .unwrap();
    stage
        .jobs()
        .append_logs(job, vec![line("three")])
        .await
        .unwrap();
    stage.jobs().append_logs(job, vec![]).await.unwrap();
    let lines = read(&stage, job).await;
    let messages: Vec<_> = lines
        .iter()
        .map(|line| (line.seq, line.message.as_str()))
        .collect();
    assert_eq!(messages, [(1, "one"), (2, "two"), (3, "three")]);
    assert_eq!(
        (lines[0].level.as_str(), lines[0].attempt, &lines[0].fields),
        ("info", 1, &json!({ "page": 1 }))
    );
}

async fn the_newest_thousand_are_kept(stage: Stage) {
    let org = stage.org().await;
    let job = stage.add(noop(org)).await.id;
    let many = |from: usize, to: usize| (from..to).map(|n| line(n.to_string())).collect();
    stage.jobs().append_logs(job, many(0, 900)).await.unwrap();
    stage
        .jobs()
        .append_logs(job, many(900, 1100))
        .await
        .unwrap();
    let lines = read(&stage, job).await;
    assert_eq!(lines.len(), usize::try_from(LOG_LINES_KEPT).unwrap());
    assert_eq!(
        (lines[0].message.as_str(), lines[999].message.as_str()),
        ("100", "1099")
    );
    stage
        .jobs()
        .append_logs(job, many(2000, 4500))
        .await
        .unwrap();
    let lines = read(&stage, job).await;
    assert_eq!(
        (
            lines.len(),
            lines[0].message.as_str(),
            lines[999].message.as_str()
        ),
        (1000, "3500", "4499")
    );
}

async fn a_nul_character_in_a_line_is_replaced(stage: Stage) {
    let org = stage.org().await;
    let job = stage.add(noop(org)).await.id;
    stage
        .jobs()
        .append_logs(job, vec![line("a\u{0}b")])
        .await
        .unwrap();
    assert_eq!(read(&stage, job).await[0].message, "a\u{fffd}b");
}

async fn an_unknown_level_is_refused(stage: Stage) {
    let org = stage.org().await;
    let job = stage.add(noop(org)).await.id;
    let loud = LogLine {
        level: "shout".into(),
        ..line("hey")
    };
    assert!(stage.jobs().append_logs(job, vec![loud]).await.is_err());
}
