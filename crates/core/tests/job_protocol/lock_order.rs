//! The order of locks under load, on PostgreSQL: disconnects, schedulers' ticks, bodies,
//! settlements and requests meet on the same connections, and none of them ever waits in a
//! circle. The order stands in `docs/job-states.md`.

use std::{collections::HashSet, sync::Arc};

use patchbay_core::{
    events::EventKind,
    ids::{ConnectionId, OrgId, ProcessId},
    job::{JobKind, Lease, NewJob, Queue, Settlement},
    progress::Progress,
    store::{StoreError, events::NewEvent, schedules::NewSchedule},
};
use tokio::task::JoinSet;

use crate::{
    model::cases,
    races::until_one_waits,
    schedules::{every, of},
    stage::{Stage, lease, snooze, succeed},
};

const ROUNDS: u32 = 12;
const CONNECTIONS: usize = 6;
const STREAMS: [&str; 3] = ["catalog", "sales", "customers"];

/// What any of them came to: a circle is an error with this state.
fn no_circle<T>(who: &str, done: Result<T, StoreError>) -> T {
    done.unwrap_or_else(|error| panic!("{who}: {error:?}"))
}

async fn disconnect(stage: &Stage, org: OrgId, id: ConnectionId) -> Result<(), StoreError> {
    let tx = stage.store.begin().await?;
    let row = stage.store.lock_connection(&tx, org, id).await?.unwrap();
    stage.store.disconnect(&tx, &row, "test").await?;
    Ok(tx.commit().await?)
}

/// What a body does in the middle: the fence, a stream, progress.
async fn batch(stage: &Stage, org: OrgId, id: ConnectionId, run: Lease) -> Result<(), StoreError> {
    let tx = stage.store.begin().await?;
    if stage.jobs().fence(&tx, run).await? {
        let store = &stage.store;
        store.begin_generation(&tx, org, id, "catalog").await?;
        let progress = Progress::default();
        stage.jobs().checkpoint(&tx, run, &progress, None).await?;
    }
    Ok(tx.commit().await?)
}

/// What a body does at its end: the connection, the fence, its event, its end.
async fn end(stage: &Stage, org: OrgId, id: ConnectionId, run: Lease) -> Result<(), StoreError> {
    let store = &stage.store;
    let tx = store.begin().await?;
    let row = store.lock_connection(&tx, org, id).await?.unwrap();
    if stage.jobs().fence(&tx, run).await? {
        store.note_success(&tx, &row, true).await?;
        let event = NewEvent::new(org, EventKind::SyncCompleted, "test").connection(id);
        store.record_event(&tx, event).await?;
        let settlement = Settlement {
            lease: run,
            end: succeed(),
        };
        stage.jobs().settle_in(&tx, &settlement).await?;
    }
    Ok(tx.commit().await?)
}

/// The jobs that its schedules would ask for, asked for by hand.
fn wanted(org: OrgId, id: ConnectionId) -> Vec<NewJob> {
    let wanted = STREAMS.iter().rev().map(|stream| NewJob {
        connection: Some(id),
        lane: Some(format!("{id}:{stream}")),
        dedupe_key: Some(format!("{id}:{stream}:incremental")),
        ..NewJob::new(Some(org), JobKind::Sync, Queue::Sync, "test")
    });
    wanted.collect()
}

/// Connections with due schedules, and jobs of theirs that run.
async fn scene(stage: &Stage, org: OrgId, me: ProcessId) -> Vec<(ConnectionId, Vec<Lease>)> {
    let mut scene = Vec::new();
    for _ in 0..CONNECTIONS {
        let id = stage.connection(org).await;
        for stream in STREAMS {
            let schedule = NewSchedule {
                stream: stream.into(),
                ..of(org, id, every("1m"))
            };
            stage.schedule(schedule).await;
        }
        let enqueued = stage.enqueue(wanted(org, id)).await;
        let ids: Vec<_> = enqueued.iter().map(|job| job.job().id).collect();
        let running = stage.claim(me, &ids).await;
        assert_eq!(running.len(), STREAMS.len());
        scene.push((id, running.iter().map(lease).collect()));
    }
    stage.seconds(61).await;
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnects_ticks_and_bodies_never_wait_in_a_circle() {
    let stage = Arc::new(Stage::postgres().await);
    let org = stage.org().await;
    let mut gone = HashSet::new();
    let rounds = usize::try_from(cases(ROUNDS)).unwrap();
    for _ in 0..rounds {
        let me = stage.worker().await;
        let scene = scene(&stage, org, me).await;
        let mut all = JoinSet::new();
        for _ in 0..2 {
            let stage = Arc::clone(&stage);
            all.spawn(async move {
                for _ in 0..3 {
                    no_circle("a tick", stage.store.tick_schedules(100).await);
                }
            });
        }
        for (id, runs) in scene {
            gone.insert(id);
            let at = |stage: &Arc<Stage>| Arc::clone(stage);
            let (one, two, three, four) = (at(&stage), at(&stage), at(&stage), at(&stage));
            let (first, second, third) = (runs[0], runs[1], runs[2]);
            all.spawn(async move {
                for _ in 0..3 {
                    no_circle("a batch", batch(&one, org, id, first).await);
                }
                no_circle("an end", end(&one, org, id, first).await);
            });
            all.spawn(async move {
                let both = [second, third].map(|lease| Settlement {
                    lease,
                    end: snooze(0),
                });
                no_circle("a settlement", two.jobs().settle(&both).await);
            });
            all.spawn(async move {
                let tx = three.store.begin().await.unwrap();
                let jobs = three.jobs().enqueue(&tx, wanted(org, id)).await;
                no_circle("a request", jobs);
                tx.commit().await.unwrap();
            });
            all.spawn(async move {
                no_circle("a disconnect", disconnect(&four, org, id).await);
            });
        }
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
    }
    assert_eq!(gone.len(), rounds * CONNECTIONS);
}

/// Why the order matters: the other way round PostgreSQL has to refuse one of the two.
#[tokio::test]
async fn a_body_that_took_its_job_before_its_connection_would_wait_in_a_circle() {
    let stage = Stage::postgres().await;
    let org = stage.org().await;
    let me = stage.worker().await;
    let (id, runs) = scene(&stage, org, me).await.remove(0);
    let disconnect = stage.store.begin().await.unwrap();
    let row = (stage.store)
        .lock_connection(&disconnect, org, id)
        .await
        .unwrap()
        .unwrap();
    let body = stage.store.begin().await.unwrap();
    assert!(stage.jobs().fence(&body, runs[0]).await.unwrap());
    let wrong = async {
        until_one_waits(&stage).await;
        let locked = stage.store.lock_connection(&body, org, id).await;
        body.rollback().await.unwrap();
        locked.map(drop)
    };
    let ended = stage.store.disconnect(&disconnect, &row, "test");
    let (ended, locked) = tokio::join!(ended, wrong);
    let refused = ended.map(drop).and(locked).unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
    assert!(format!("{refused:?}").contains("40P01"), "{refused:?}");
}
