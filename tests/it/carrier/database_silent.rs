//! The database vanishes without a word: its old connections are never answered nor
//! closed again, as after a failover or a pulled cable. New ones work.

use std::{sync::Arc, time::Duration};

use patchbay_core::{
    clock::SystemClock,
    hints::MemoryHints,
    job::JobState,
    store::{
        Store,
        connect::{ConnectOptions, connect},
    },
};
use patchbay_scheduler::{Identity, SchedulerDeps};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use super::{
    alone::{suspect, within_a_minute},
    stage::{Stage, sleep_ms, until},
};

/// Passes connections on to the database until it is told to hold them.
struct Cable {
    url: String,
    cut: watch::Sender<u32>,
}

impl Cable {
    async fn to(database: &str) -> Self {
        let (user, rest) = database.split_once('@').unwrap();
        let (far, name) = rest.split_once('/').unwrap();
        let far = far.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{user}@{}/{name}", listener.local_addr().unwrap());
        let cut = watch::Sender::new(0);
        let cuts = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(&far).await.unwrap();
                let mut cuts = cuts.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        _ = cuts.changed() => {}
                    }
                    // Both ends stay open, and nothing passes.
                    std::future::pending::<()>().await;
                });
            }
        });
        Self { url, cut }
    }

    async fn store(&self) -> Store {
        let options = ConnectOptions {
            max_connections: 8,
            application_name: "test".into(),
        };
        Store::new(
            connect(&self.url, options).await.unwrap(),
            Arc::new(SystemClock),
        )
    }

    fn silence(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

#[tokio::test]
async fn a_worker_settles_and_claims_again_within_seconds() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let cable = Cable::to(stage.url()).await;
    let org = stage.org().await;
    let worker = stage.worker_through(&cable.url, cable.store().await, 8);
    let running = stage.enqueue(org, 2, sleep_ms(1_000)).await;
    worker.until_begun(running.len()).await;

    cable.silence();
    let waiting = stage.enqueue(org, 20, json!({})).await;
    stage.until_all(&running, JobState::Succeeded).await;
    stage.until_all(&waiting, JobState::Succeeded).await;

    assert_eq!(stage.job(running[0]).await.lease_epoch, 1, "not run anew");
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_makes_room_for_suspects_again() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let cable = Cable::to(stage.url()).await;
    let mut worker = stage.worker_through(&cable.url, cable.store().await, 8);
    worker.process().await;
    // Some look for suspects is under way in one of these moments, or just about to begin.
    for _ in 0..8 {
        cable.silence();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let suspect = suspect(&stage, 1).await;
    within_a_minute("it runs", async || {
        stage.job(suspect).await.state == JobState::Succeeded
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn a_scheduler_reports_it_and_does_its_duties_again_within_seconds() {
    let stage = Stage::on_postgres(Arc::new(MemoryHints::new())).await;
    let cable = Cable::to(stage.url()).await;
    let identity = Identity::Own {
        host: "test".into(),
    };
    let deps = SchedulerDeps::new(
        cable.store().await,
        Arc::clone(&stage.ctx.hints),
        Arc::clone(&stage.ctx.clock),
        identity,
    );
    let stop = CancellationToken::new();
    let scheduler = tokio::spawn(patchbay_scheduler::run(deps.clone(), stop.clone()));
    let works = async || {
        let reports = deps.reports.all();
        ["top_up", "rescue", "presence"].iter().all(|duty| {
            reports
                .get(duty)
                .is_some_and(|report| report.last_success.is_some() && report.last_error.is_none())
        })
    };
    until("every duty works", works).await;

    cable.silence();
    until("the silence is reported", async || {
        deps.reports.all()["top_up"]
            .last_error
            .as_ref()
            .is_some_and(|error| error.contains("no answer within 10 s"))
    })
    .await;
    until("every duty works again", works).await;
    stop.cancel();
    scheduler.await.unwrap();
}
