//! `docs/job-states.md` against what the databases refuse.

use std::collections::BTreeSet;

use crate::{
    on_both,
    stage::{Stage, noop},
};

on_both! {
    the_databases_accept_the_drawn_moves_and_no_others,
    the_databases_accept_the_drawn_births_and_no_others,
    a_lease_epoch_never_stands_still_at_a_start_and_never_goes_back,
    a_row_that_contradicts_itself_is_refused,
}

const STATES: [&str; 7] = [
    "queued",
    "parked",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "quarantined",
];

/// The arrows of the picture; `[*]` is birth.
fn drawn() -> BTreeSet<(String, String)> {
    let page = include_str!("../../../../docs/job-states.md");
    let picture = page
        .split("```mermaid")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let arrows: BTreeSet<(String, String)> = picture
        .lines()
        .filter_map(|line| {
            let (from, rest) = line.trim().split_once(" --> ")?;
            let (to, _why) = rest.split_once(" : ").unwrap();
            Some((from.to_owned(), to.to_owned()))
        })
        .collect();
    for (from, to) in &arrows {
        assert!(
            from == "[*]" || STATES.contains(&from.as_str()),
            "{from} is no state"
        );
        assert!(STATES.contains(&to.as_str()), "{to} is no state");
    }
    assert_eq!(
        arrows.len(),
        15,
        "every arrow was read, and none is drawn twice"
    );
    arrows
}

/// The columns that go with a state, so that only the move itself can be refused.
fn columns_of(state: &str) -> String {
    let lease = if state == "running" {
        "(select id from processes limit 1)"
    } else {
        "null"
    };
    let ended = ["succeeded", "failed", "cancelled", "quarantined"].contains(&state);
    let finished = if ended { "created_at" } else { "null" };
    format!(
        "state = '{state}', leased_by = {lease}, finished_at = {finished}, lease_epoch = lease_epoch + 1"
    )
}

/// A way of legal moves from birth to each state.
fn way_to(state: &str) -> &'static [&'static str] {
    match state {
        "queued" => &[],
        "parked" => &["parked"],
        "running" => &["running"],
        "succeeded" => &["running", "succeeded"],
        "failed" => &["running", "failed"],
        "cancelled" => &["cancelled"],
        "quarantined" => &["running", "quarantined"],
        other => panic!("{other} is no state"),
    }
}

async fn the_databases_accept_the_drawn_moves_and_no_others(stage: Stage) {
    let drawn = drawn();
    let org = stage.org().await;
    stage.worker().await;
    for from in STATES {
        for to in STATES.into_iter().filter(|to| *to != from) {
            stage.sql("delete from jobs").await.unwrap();
            stage.add(noop(org)).await;
            for state in way_to(from) {
                stage
                    .sql(&format!("update jobs set {}", columns_of(state)))
                    .await
                    .unwrap();
            }
            let moved = stage
                .sql(&format!("update jobs set {}", columns_of(to)))
                .await;
            let legal = drawn.contains(&(from.to_owned(), to.to_owned()));
            match moved {
                Ok(rows) => {
                    assert_eq!(rows, 1);
                    assert!(legal, "{from} -> {to} was accepted and is not drawn");
                }
                Err(error) => {
                    assert!(!legal, "{from} -> {to} is drawn and was refused: {error}");
                    assert!(
                        error.to_string().contains("illegal job transition"),
                        "{from} -> {to}: {error}"
                    );
                }
            }
        }
    }
}

async fn the_databases_accept_the_drawn_births_and_no_others(stage: Stage) {
    let drawn = drawn();
    let org = stage.org().await;
    let template = stage.add(noop(org)).await;
    stage.worker().await;
    let literal = |id: uuid::Uuid| {
        if stage.is_sqlite() {
            format!("x'{}'", id.simple())
        } else {
            format!("'{id}'")
        }
    };
    for state in STATES {
        let id = patchbay_core::ids::JobId::new(stage.store.clock()).0;
        let lease = if state == "running" {
            "(select id from processes limit 1)"
        } else {
            "null"
        };
        let ended = ["succeeded", "failed", "cancelled", "quarantined"].contains(&state);
        let finished = if ended { "created_at" } else { "null" };
        let sql = format!(
            "insert into jobs (id, kind, queue, args, state, run_at, max_attempts, timeout_s, requested_by, created_at,
                               leased_by, finished_at)
             select {}, kind, queue, args, '{state}', run_at, max_attempts, timeout_s, requested_by, created_at,
                    {lease}, {finished}
             from jobs where id = {}",
            literal(id),
            literal(template.id.0),
        );
        let born = stage.sql(&sql).await;
        assert_eq!(
            born.is_ok(),
            drawn.contains(&("[*]".to_owned(), state.to_owned())),
            "born {state}: {born:?}"
        );
    }
}

async fn a_lease_epoch_never_stands_still_at_a_start_and_never_goes_back(stage: Stage) {
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    let error = stage
        .sql("update jobs set state = 'running', leased_by = (select id from processes limit 1)")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("epoch"), "{error}");
    // A refused statement lets go of its rows after it has answered; a claim would pass over them.
    stage
        .sql("update jobs set requested_by = 'test'")
        .await
        .unwrap();
    stage.start(me, job.id).await;
    let error = stage
        .sql("update jobs set lease_epoch = 0")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("epoch"), "{error}");
}

async fn a_row_that_contradicts_itself_is_refused(stage: Stage) {
    let org = stage.org().await;
    stage.add(noop(org)).await;
    for (sql, wall) in [
        ("update jobs set leased_by = id", "jobs_lease_iff_running"),
        (
            "update jobs set finished_at = created_at",
            "jobs_end_has_time",
        ),
        (
            "update jobs set discarded_at = created_at",
            "jobs_discard_only_dead",
        ),
        ("update jobs set state = 'cancelled'", "jobs_end_has_time"),
    ] {
        let error = stage.sql(sql).await.unwrap_err();
        assert!(error.to_string().contains(wall), "{sql}: {error}");
    }
}
