//! Jobs that end the process they run in, among healthy ones: abort, a loop that never comes
//! back, the stack used up, memory used up.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::Run;
use crate::{
    checker::{self, Allowed},
    client::{Drill, End},
    findings::Invariant,
    outcome::Outcome,
    stage::{Plan, Stage},
    witness,
};

/// A poison takes so many processes with it, and no more.
const DEATHS: usize = 3;
/// Address space of a worker: it takes a quarter of it at rest.
const ROOM: u64 = 4 * 1024 * 1024 * 1024;

const QUARANTINED: &str = "select count(*) from jobs where state = 'quarantined'";

/// What happened to a job.
#[derive(Default)]
struct Story {
    moves: Vec<String>,
    deaths: usize,
    crashes: i32,
}

pub async fn run(run: Run) -> Result<Outcome> {
    let room = format!("--as={ROOM}");
    let plan = Plan {
        workers: 4,
        mutation: run.mutation,
        worker_wrapper: vec![
            "prlimit".to_owned(),
            room,
            "--core=0".to_owned(),
            "--".to_owned(),
        ],
        ..Plan::default()
    };
    let mut stage = Stage::open(plan).await?;
    stage.mortal = true;
    let client = stage.client.clone();
    let within = Duration::from_secs(20);
    let kinds: &[&str] = if run.short {
        &["abort"]
    } else {
        &["abort", "loop", "stack", "memory"]
    };
    // All at once: each is beside others at first, and healthy jobs are beside them all.
    let mut drills = Vec::new();
    for _ in 0..run.number(3, 1) {
        for kind in kinds {
            drills.push(Drill {
                end: End::Quarantined,
                timeout_s: Some(2),
                ..Drill::new(0, Duration::ZERO, Some(stage.abroad.calm())).with("poison", *kind)
            });
        }
    }
    client.enqueue(&drills, within).await?;
    // Healthy ones come for as long as there are poisons.
    let last = Instant::now() + Duration::from_secs(run.number(240, 45) as u64);
    for number in 0.. {
        let step = Duration::from_millis(150 + 50 * (number % 3));
        let healthy = Drill::new(4, step, Some(stage.abroad.calm()));
        client.enqueue(&[healthy], within).await?;
        stage.run_for(Duration::from_millis(200)).await?;
        let quarantined = witness::number(&stage.database, QUARANTINED).await?;
        if quarantined as usize >= drills.len() || Instant::now() > last {
            break;
        }
    }
    stage.drain(run.patience(60)).await?;
    let mut findings = checker::check(&stage, Allowed::default()).await?;
    let mut stories: HashMap<_, Story> = HashMap::new();
    for one in witness::moves(&stage.database).await? {
        let story = stories.entry(one.job).or_default();
        // A run may also end by making room for another poison, which is no death.
        story.deaths += usize::from(one.crashes > story.crashes);
        story.crashes = one.crashes;
        story.moves.push(format!(
            "{} {} in {:?}",
            one.state,
            one.crashes,
            one.process.unwrap_or(0)
        ));
    }
    for ack in &stage.client.log().acks {
        let story = stories.remove(&ack.job).unwrap_or_default();
        if ack.end == End::Quarantined && story.deaths != DEATHS {
            let what = format!("{}: {}", ack.job, story.moves.join(", "));
            findings.say(Invariant::Quarantine, what);
        }
    }
    Ok(Outcome {
        findings,
        injections: drills.len(),
        ..Outcome::new("poison jobs among healthy ones")
    })
}
