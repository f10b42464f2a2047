//! The world abroad, as drills see it: takes their calls, writes each down, and strikes the
//! process that calls, exactly where it stands. The address of a drill says what happens to
//! it: `/calm`, or `/kill/effect/1`, or `/stop/inside/0/12000` (milliseconds).

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use uuid::Uuid;

/// Where a drill stands when it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Begin,
    Effect,
    Inside,
    End,
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Effect => "effect",
            Self::Inside => "inside",
            Self::End => "end",
        }
    }
}

/// What a drill tells.
#[derive(Debug, Deserialize)]
struct Story {
    job: Uuid,
    epoch: i64,
    attempt: i32,
    step: i64,
    place: Place,
    process: u32,
}

/// A call that came in.
#[derive(Debug, Clone)]
pub struct Call {
    pub job: Uuid,
    pub epoch: i64,
    pub attempt: i32,
    pub step: i64,
    pub place: Place,
    pub key: Option<String>,
    pub process: u32,
    pub at: Instant,
    /// The process was struck because of it.
    pub struck: bool,
}

#[derive(Debug, Default)]
struct Seen {
    calls: Vec<Call>,
    struck: HashSet<Uuid>,
    /// Processes that this run started: nobody else may be signalled.
    ours: HashSet<u32>,
    /// Processes that were killed, stopped or asked to end by this run.
    disturbed: HashSet<u32>,
}

/// The server and what it saw. Clones share it.
#[derive(Debug, Clone)]
pub struct Abroad {
    seen: Arc<Mutex<Seen>>,
    url: String,
}

impl Abroad {
    /// Listens on a loopback port until the runtime ends.
    ///
    /// # Errors
    /// No port is free.
    pub async fn open() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let abroad = Self {
            seen: Arc::default(),
            url: format!("http://{}", listener.local_addr()?),
        };
        let app = Router::new()
            .route("/calm", post(calm))
            .route("/{how}/{place}/{step}", post(strike))
            .route("/{how}/{place}/{step}/{ms}", post(strike))
            .with_state(abroad.clone());
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                eprintln!("faults: the world abroad ended: {error}");
            }
        });
        Ok(abroad)
    }

    /// The address for a drill that nothing happens to.
    pub fn calm(&self) -> String {
        format!("{}/calm", self.url)
    }

    /// The address for a drill whose process is killed at its first call from there.
    pub fn kill_at(&self, place: Place, step: u32) -> String {
        format!("{}/kill/{}/{step}", self.url, place.name())
    }

    /// The same, stopped in place for that long.
    pub fn stop_at(&self, place: Place, step: u32, pause: Duration) -> String {
        let ms = pause.as_millis();
        format!("{}/stop/{}/{step}/{ms}", self.url, place.name())
    }

    /// A process of this run: it may be struck.
    pub fn admit(&self, process: u32) {
        self.lock().ours.insert(process);
    }

    /// It has ended; its number may soon be another's.
    pub fn forget(&self, process: u32) {
        self.lock().ours.remove(&process);
    }

    /// Something was done to it, so its jobs may be taken from it.
    pub fn disturb(&self, process: u32) {
        self.lock().disturbed.insert(process);
    }

    pub fn disturbed(&self) -> HashSet<u32> {
        self.lock().disturbed.clone()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Calls that were answered with a blow.
    pub fn strikes(&self) -> usize {
        self.lock().struck.len()
    }

    /// For each struck job: how long until another run of it began.
    pub fn recoveries(&self) -> Vec<Duration> {
        let seen = self.lock();
        let struck = seen.calls.iter().filter(|call| call.struck);
        struck
            .filter_map(|blow| {
                let again = seen.calls.iter().find(|call| {
                    call.job == blow.job && call.place == Place::Begin && call.epoch > blow.epoch
                })?;
                Some(again.at.saturating_duration_since(blow.at))
            })
            .collect()
    }

    /// Struck jobs that have not begun again.
    pub fn waiting(&self) -> usize {
        let seen = self.lock();
        let again = |blow: &Call| {
            let later = |call: &&Call| call.job == blow.job && call.epoch > blow.epoch;
            seen.calls.iter().rev().any(|call| later(&call))
        };
        let struck = seen.calls.iter().filter(|call| call.struck);
        struck.filter(|blow| !again(blow)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the call down; whether it is the one to be struck.
    fn note(&self, headers: &HeaderMap, story: &Story, target: Option<(Place, i64)>) -> bool {
        let mut seen = self.lock();
        let hit = target == Some((story.place, story.step)) && !seen.struck.contains(&story.job);
        let struck = hit && seen.ours.contains(&story.process);
        if struck {
            seen.struck.insert(story.job);
            seen.disturbed.insert(story.process);
        }
        let key = headers
            .get("idempotency-key")
            .and_then(|key| key.to_str().ok());
        seen.calls.push(Call {
            job: story.job,
            epoch: story.epoch,
            attempt: story.attempt,
            step: story.step,
            place: story.place,
            key: key.map(str::to_owned),
            process: story.process,
            at: Instant::now(),
            struck,
        });
        struck
    }
}

async fn calm(
    State(abroad): State<Abroad>,
    headers: HeaderMap,
    Json(story): Json<Story>,
) -> StatusCode {
    abroad.note(&headers, &story, None);
    StatusCode::NO_CONTENT
}

async fn strike(
    State(abroad): State<Abroad>,
    Path(target): Path<Vec<String>>,
    headers: HeaderMap,
    Json(story): Json<Story>,
) -> StatusCode {
    let [how, place, step, rest @ ..] = target.as_slice() else {
        return StatusCode::NOT_FOUND;
    };
    let place = match place.as_str() {
        "begin" => Place::Begin,
        "effect" => Place::Effect,
        "inside" => Place::Inside,
        "end" => Place::End,
        _ => return StatusCode::NOT_FOUND,
    };
    let step = step.parse().unwrap_or(i64::MAX);
    if !abroad.note(&headers, &story, Some((place, step))) {
        return StatusCode::NO_CONTENT;
    }
    let Ok(process) = i32::try_from(story.process).map(Pid::from_raw) else {
        return StatusCode::NOT_FOUND;
    };
    if how == "stop" {
        let pause = rest.first().and_then(|ms| ms.parse().ok()).unwrap_or(0);
        signal(process, Signal::SIGSTOP);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if abroad.lock().ours.contains(&story.process) {
                signal(process, Signal::SIGCONT);
            }
        });
    } else {
        signal(process, Signal::SIGKILL);
    }
    StatusCode::NO_CONTENT
}

/// A process that has just ended by itself takes no signal, and needs none.
fn signal(process: Pid, signal: Signal) {
    if let Err(error) = kill(process, signal) {
        eprintln!("faults: {signal} to {process}: {error}");
    }
}
