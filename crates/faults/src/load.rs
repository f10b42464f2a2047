//! A steady load: clients that ask for a job, wait, ask again, whatever happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    abroad::Place,
    client::{Client, Drill},
    stage::Stage,
};

/// Running clients.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    callers: JoinSet<()>,
}

impl Load {
    /// So many callers, each with this pause after an acknowledgement.
    pub fn start(client: &Client, callers: usize, pause: Duration, drill: &Drill) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for _ in 0..callers {
            let (client, drill, stop) = (client.clone(), drill.clone(), Arc::clone(&stop));
            running.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let asked =
                        client.enqueue(std::slice::from_ref(&drill), Duration::from_secs(90));
                    if let Err(error) = asked.await {
                        eprintln!("faults: {error:#}");
                    }
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self {
            stop,
            callers: running,
        }
    }

    /// Two callers, some twenty short jobs a second.
    pub fn steady(stage: &Stage) -> Self {
        let drill = Drill::new(2, Duration::from_millis(20), Some(stage.abroad.calm()));
        Self::start(&stage.client, 2, Duration::from_millis(80), &drill)
    }

    /// Lets each caller have its last answer.
    pub async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while self.callers.join_next().await.is_some() {}
    }
}

/// The longest time without a body that begins, in that span.
pub fn longest_silence(stage: &Stage, from: Instant, to: Instant) -> Duration {
    let mut last = from;
    let mut longest = Duration::ZERO;
    let calls = stage.abroad.calls();
    let begins = calls.iter().filter(|call| call.place == Place::Begin);
    for at in begins
        .map(|call| call.at)
        .filter(|at| *at > from && *at < to)
        .chain([to])
    {
        longest = longest.max(at.saturating_duration_since(last));
        last = at;
    }
    longest
}

/// How long after `from` the first body began.
pub fn first_begin(stage: &Stage, from: Instant) -> Option<Duration> {
    let calls = stage.abroad.calls();
    calls
        .iter()
        .find(|call| call.place == Place::Begin && call.at >= from)
        .map(|call| call.at - from)
}
