//! Several connections at once, on PostgreSQL: what must hold whatever the order.
//! A test that needs one transaction to wait for another asks the server whether it
//! does, and never sleeps to be right.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use patchbay_core::{
    connection::ConnectionStatus,
    ids::{JobId, OrgId},
    job::{Enqueued, JobState, Queue, Settlement},
};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::stage::{Stage, ids, in_lane, noop, of_connection, park, succeed, with_key};

/// Until a statement of this database waits for a lock.
pub(crate) async fn until_one_waits(stage: &Stage) {
    const WAITING: &str = "
        select 1 as one from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' limit 1";
    let waits = || async {
        let statement = Statement::from_string(DbBackend::Postgres, WAITING);
        stage
            .store
            .db()
            .query_one_raw(statement)
            .await
            .unwrap()
            .is_some()
    };
    while !waits().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_at_the_same_moment_never_share_a_job() {
    let stage = Arc::new(Stage::postgres().await);
    let org = stage.org().await;
    let jobs: Vec<JobId> = stage
        .enqueue(vec![noop(org); 400])
        .await
        .iter()
        .map(|job| job.job().id)
        .collect();
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..4 {
        let (stage, jobs) = (Arc::clone(&stage), jobs.clone());
        claims.spawn(async move {
            let me = stage.worker().await;
            let mut mine = Vec::new();
            for _ in 0..10 {
                if n % 2 == 0 {
                    for hints in jobs.chunks(50) {
                        mine.extend(ids(&stage.claim(me, hints).await));
                    }
                } else {
                    let direct = stage
                        .jobs()
                        .claim_due(me, Queue::Sync, 30, OrgId::DEPLOYMENT, &[])
                        .await
                        .unwrap();
                    mine.extend(ids(&direct));
                }
            }
            mine
        });
    }
    let claimed: Vec<JobId> = claims.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 400, "all are claimed");
    assert_eq!(
        claimed.iter().collect::<HashSet<_>>().len(),
        400,
        "none twice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claims_at_the_same_moment_run_one_job_of_a_lane_and_in_order() {
    let stage = Arc::new(Stage::postgres().await);
    let org = stage.org().await;
    let mut wanted = Vec::new();
    for n in 0..60 {
        wanted.push(in_lane(org, &(n % 6).to_string()));
    }
    let jobs: Vec<JobId> = stage
        .enqueue(wanted)
        .await
        .iter()
        .map(|job| job.job().id)
        .collect();
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..4 {
        let (stage, jobs) = (Arc::clone(&stage), jobs.clone());
        claims.spawn(async move {
            let me = stage.worker().await;
            let mut done = Vec::new();
            for _ in 0..200 {
                let claimed = if n % 2 == 0 {
                    stage.claim(me, &jobs).await
                } else {
                    stage
                        .jobs()
                        .claim_due(me, Queue::Sync, 6, OrgId::DEPLOYMENT, &[])
                        .await
                        .unwrap()
                };
                for job in &claimed {
                    // Read while it runs: the next of its lane has not started.
                    done.push((job.lane.clone().unwrap(), job.id, job.started_at.unwrap()));
                }
                let ends: Vec<Settlement> = claimed
                    .iter()
                    .map(|job| Settlement {
                        lease: crate::stage::lease(job),
                        end: succeed(),
                    })
                    .collect();
                assert_eq!(
                    stage.jobs().settle(&ends).await.unwrap().len(),
                    claimed.len()
                );
                if stage
                    .jobs()
                    .due(Queue::Sync, 1, 1, OrgId::DEPLOYMENT)
                    .await
                    .unwrap()
                    .is_empty()
                    && claimed.is_empty()
                {
                    break;
                }
            }
            done
        });
    }
    let mut lanes: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for (lane, id, started) in claims.join_all().await.into_iter().flatten() {
        lanes.entry(lane).or_default().push((started, id));
    }
    assert_eq!(lanes.values().map(Vec::len).sum::<usize>(), 60);
    for runs in lanes.values_mut() {
        runs.sort_unstable();
        assert!(
            runs.iter().map(|(_, id)| id).is_sorted(),
            "of a lane the oldest starts first"
        );
    }
}

#[tokio::test]
async fn one_bad_lane_does_not_sink_a_batch_of_hints() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let (me, other) = (stage.worker().await, stage.worker().await);
    let first = stage.add(in_lane(org, "a")).await.id;
    let second = stage.add(in_lane(org, "a")).await.id;
    let free = stage.add(noop(org)).await.id;
    // The older job of the lane is parked when the batch looks and runs when it writes.
    stage
        .sql(
            "update jobs set state = 'parked' where id = (select id from jobs order by id limit 1)",
        )
        .await
        .unwrap();
    let tx = stage.store.begin().await.unwrap();
    let run = format!(
        "update jobs set state = 'queued' where id = '{first}';
         update jobs set state = 'running', lease_epoch = 1, leased_by = '{other}' where id = '{first}'"
    );
    tx.execute_unprepared(&run).await.unwrap();
    let commit = async {
        until_one_waits(&stage).await;
        tx.commit().await.unwrap();
    };
    let hints = [second, free];
    let (claimed, ()) = tokio::join!(stage.claim(me, &hints), commit);
    assert_eq!(ids(&claimed), [free]);
}

#[tokio::test]
async fn requests_at_the_same_moment_get_one_job() {
    let stage = Arc::new(Stage::postgres().await);
    let org = stage.org().await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let stage = Arc::clone(&stage);
        requests.spawn(async move {
            stage
                .enqueue(vec![with_key(org, "b"), with_key(org, "a")])
                .await
        });
    }
    let answers: Vec<Enqueued> = requests.join_all().await.into_iter().flatten().collect();
    let new = answers
        .iter()
        .filter(|answer| matches!(answer, Enqueued::New(_)))
        .count();
    let distinct: HashSet<JobId> = answers.iter().map(|answer| answer.job().id).collect();
    assert_eq!((new, distinct.len()), (2, 2));
}

#[tokio::test]
async fn a_request_that_commits_before_the_end_is_never_swallowed() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(with_key(org, "a")).await;
    let lease = stage.start(me, job.id).await;
    let tx = stage.store.begin().await.unwrap();
    let answer = stage
        .jobs()
        .enqueue(&tx, vec![with_key(org, "a")])
        .await
        .unwrap()
        .remove(0);
    assert!(matches!(answer, Enqueued::Again(_)));
    let commit = async {
        until_one_waits(&stage).await;
        tx.commit().await.unwrap();
    };
    let (settled, ()) = tokio::join!(stage.settle(lease, succeed()), commit);
    let successor = settled
        .unwrap()
        .successor
        .expect("the end waited and saw `again`");
    assert_eq!(stage.state(successor).await, JobState::Queued);
}

#[tokio::test]
async fn a_request_that_meets_an_end_in_the_act_gets_a_new_job() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(with_key(org, "a")).await;
    let lease = stage.start(me, job.id).await;
    let tx = stage.store.begin().await.unwrap();
    stage
        .jobs()
        .settle_in(
            &tx,
            &Settlement {
                lease,
                end: succeed(),
            },
        )
        .await
        .unwrap()
        .unwrap();
    let commit = async {
        until_one_waits(&stage).await;
        tx.commit().await.unwrap();
    };
    let (answers, ()) = tokio::join!(stage.enqueue(vec![with_key(org, "a")]), commit);
    assert!(
        matches!(&answers[0], Enqueued::New(new) if new.id != job.id),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_waiting_twin_does_not_start_before_the_request_is_committed() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(with_key(org, "a")).await;
    let tx = stage.store.begin().await.unwrap();
    stage
        .jobs()
        .enqueue(&tx, vec![with_key(org, "a")])
        .await
        .unwrap();
    assert!(stage.claim(me, &[job.id]).await.is_empty());
    tx.commit().await.unwrap();
    assert_eq!(stage.claim(me, &[job.id]).await.len(), 1);
}

#[tokio::test]
async fn a_cancel_waits_for_what_a_body_is_writing_and_stops_the_rest() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    let lease = stage.start(me, job.id).await;
    let tx = stage.store.begin().await.unwrap();
    assert!(stage.jobs().fence(&tx, lease).await.unwrap());
    let commit = async {
        until_one_waits(&stage).await;
        stage
            .jobs()
            .checkpoint(&tx, lease, &Default::default(), None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let (_, ()) = tokio::join!(stage.cancel(org, job.id), commit);
    let row = stage.row(job.id).await;
    assert_eq!((row.state, row.progress_no), (JobState::Cancelled, 1));
    let tx = stage.store.begin().await.unwrap();
    assert!(!stage.jobs().fence(&tx, lease).await.unwrap());
}

#[tokio::test]
async fn a_job_is_not_parked_behind_the_back_of_a_new_credential() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let connection = stage.connection(org).await;
    let me = stage.worker().await;
    let job = stage.add(of_connection(org, connection)).await;
    let lease = stage.start(me, job.id).await;
    stage.status(connection, ConnectionStatus::Error).await;
    let tx = stage.store.begin().await.unwrap();
    assert!(
        stage
            .jobs()
            .unpark(&tx, connection)
            .await
            .unwrap()
            .is_empty()
    );
    let replace = async {
        until_one_waits(&stage).await;
        let sql = format!(
            "update credentials set revoked_at = now(), sealed = null where connection_id = '{connection}';
             insert into credentials (id, org_id, connection_id, version, sealed, mask, created_by, created_at)
             values (gen_random_uuid(), '{org}', '{connection}', 2, 'x', '{{}}', 'test', now())"
        );
        tx.execute_unprepared(&sql).await.unwrap();
        tx.commit().await.unwrap();
    };
    let (settled, ()) = tokio::join!(stage.settle(lease, park(Some(1))), replace);
    assert_eq!(settled.unwrap().state, JobState::Queued);
}

#[tokio::test]
async fn a_dead_process_is_rescued_whole_or_not_yet() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let dead = stage.worker().await;
    let jobs: Vec<JobId> = stage
        .enqueue(vec![noop(org); 3])
        .await
        .iter()
        .map(|job| job.job().id)
        .collect();
    let claimed = stage.claim(dead, &jobs).await;
    stage.seconds(7).await;
    let scheduler = stage.worker().await;
    let tx = stage.store.begin().await.unwrap();
    assert!(
        stage
            .jobs()
            .fence(&tx, crate::stage::lease(&claimed[1]))
            .await
            .unwrap()
    );
    assert_eq!(
        stage.jobs().rescue(scheduler).await.unwrap(),
        Default::default(),
        "one of its rows is locked"
    );
    tx.commit().await.unwrap();
    let rescued = stage.jobs().rescue(scheduler).await.unwrap();
    assert_eq!(rescued.requeued.len(), 3);
}

#[tokio::test]
async fn rescues_at_the_same_moment_charge_once() {
    let stage = Arc::new(Stage::postgres().await);
    let org = stage.org().await;
    for _ in 0..5 {
        let dead = stage.worker().await;
        let jobs: Vec<JobId> = stage
            .enqueue(vec![noop(org); 20])
            .await
            .iter()
            .map(|job| job.job().id)
            .collect();
        stage.claim(dead, &jobs).await;
    }
    stage.seconds(7).await;
    let mut rescues = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let stage = Arc::clone(&stage);
        rescues.spawn(async move {
            let scheduler = stage.worker().await;
            stage.jobs().rescue(scheduler).await.unwrap().requeued
        });
    }
    let mut rescued: Vec<JobId> = rescues.join_all().await.into_iter().flatten().collect();
    let scheduler = stage.worker().await;
    rescued.extend(stage.jobs().rescue(scheduler).await.unwrap().requeued);
    assert_eq!(rescued.len(), 100);
    for id in rescued {
        assert_eq!(stage.row(id).await.crashes, 1);
    }
}

#[tokio::test]
async fn a_stopped_transaction_does_not_hold_a_row_for_long() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let me = stage.worker().await;
    let job = stage.add(noop(org)).await;
    let lease = stage.start(me, job.id).await;
    let tx = stage.store.begin().await.unwrap();
    assert!(stage.jobs().fence(&tx, lease).await.unwrap());
    // Nothing more is said in that transaction: the server ends it, and the cancel goes through.
    let cancel = tokio::time::timeout(Duration::from_secs(10), stage.cancel(org, job.id));
    assert!(matches!(
        cancel.await,
        Ok(patchbay_core::store::jobs::Moved::Done(_))
    ));
    assert!(tx.commit().await.is_err());
}
