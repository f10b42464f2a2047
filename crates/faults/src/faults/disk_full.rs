//! The disk of the database and of PostgreSQL's log of changes is full for a while, under a
//! steady load. In every second round the log wants new segments meanwhile: PostgreSQL then
//! ends, as it must, and comes back, or is started again as an operator would.

use std::{
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sea_orm::ConnectionTrait;

use super::{
    Run,
    postgres::{back, finish, plan},
};
use crate::{
    load::Load,
    outcome::Outcome,
    stage::{Plan, Role, Stage},
    witness,
};

const NAME: &str = "database's disk full";
const FULL_FOR: Duration = Duration::from_secs(6);
/// A server whose disk has room again recovers within this time, or has ended for good.
const RECOVERS_WITHIN: Duration = Duration::from_secs(10);

pub async fn run(run: Run) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let disk = match Disk::mount(folder.path()) {
        Ok(disk) => disk,
        Err(why) => return Ok(Outcome::skipped(NAME, why)),
    };
    let place = folder.path().join("files");
    std::fs::create_dir(&place)?;
    let plan = Plan {
        tablespace: Some(place),
        ..plan(run)
    };
    let mut stage = Stage::prepare(plan).await?;
    move_log(&mut stage, &folder.path().join("log")).await?;
    stage.start_all(&[Role::Api, Role::Scheduler, Role::Worker])?;
    stage.all_ready().await?;

    let mut outcome = Outcome::new(NAME);
    let load = Load::steady(&stage);
    let mut away = Vec::new();
    let mut started_again = 0;
    for round in 0..run.number(4, 2) {
        stage.run_for(Duration::from_secs(3)).await?;
        let (from, before) = (Instant::now(), in_vain(&stage));
        let ballast = folder.path().join("ballast");
        let filled = std::fs::write(&ballast, vec![0_u8; Disk::BYTES]);
        let is_full = filled.is_err_and(|error| error.kind() == ErrorKind::StorageFull);
        if round % 2 == 0 {
            stage.run_for(FULL_FOR).await?;
        } else {
            want_segments(&mut stage, from + FULL_FOR).await?;
        }
        std::fs::remove_file(&ballast)?;
        if !answers(&stage, RECOVERS_WITHIN).await {
            stage.postgres.restart().await?;
            started_again += 1;
        }
        let in_vain = in_vain(&stage) - before;
        outcome.note(format!(
            "full: {is_full}; {in_vain} requests in vain meanwhile"
        ));
        // A disk that nobody noticed was not full.
        outcome.injections += usize::from(is_full && in_vain > 0);
        back(&mut stage, &mut outcome, from, &mut away).await?;
    }
    outcome.note(format!(
        "PostgreSQL ended for good and was started again {started_again} times"
    ));
    let outcome = finish(stage, load, outcome, away).await;
    drop(disk);
    outcome
}

/// Requests that were refused or not answered.
fn in_vain(stage: &Stage) -> usize {
    let log = stage.client.log();
    log.refused.len() + log.unanswered
}

/// The log of changes goes to that disk, too, before any process of ours runs.
async fn move_log(stage: &mut Stage, place: &Path) -> Result<()> {
    let row = stage
        .database
        .query_one_raw(witness::statement("show data_directory"))
        .await?;
    let data: String = row.context("one row")?.try_get_by_index(0)?;
    let log = PathBuf::from(data).join("pg_wal");
    // What came before its time is not to fill the disk.
    stage.database.execute_unprepared("checkpoint").await?;
    stage.postgres.crash()?;
    let copied = Command::new("cp").arg("-a").arg(&log).arg(place).status()?;
    ensure!(copied.success(), "the log of changes could not be moved");
    std::fs::remove_dir_all(&log)?;
    symlink(place, &log)?;
    stage.postgres.restart().await
}

/// Until that time, the log goes on to a new segment again and again.
async fn want_segments(stage: &mut Stage, until: Instant) -> Result<()> {
    const NEXT: &str = "select pg_switch_wal()";
    while Instant::now() < until {
        let next = stage.database.execute_unprepared(NEXT);
        // Refused, or the server is down: that is what is wanted.
        drop(tokio::time::timeout(Duration::from_millis(200), next).await);
        stage.run_for(Duration::from_millis(100)).await?;
    }
    Ok(())
}

async fn answers(stage: &Stage, within: Duration) -> bool {
    let asked = stage.database.execute_unprepared("select 1");
    let answer = tokio::time::timeout(within, asked).await;
    answer.is_ok_and(|answer| answer.is_ok())
}

/// A small disk in memory, unmounted with this value.
struct Disk(PathBuf);

impl Disk {
    /// The database, and the segments of the log that PostgreSQL keeps.
    const BYTES: usize = 256 * 1024 * 1024;

    fn mount(folder: &Path) -> Result<Self, String> {
        let size = format!("size={},mode=0755", Self::BYTES);
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder)
            .output()
            .map_err(|error| format!("no mount: {error}"))?;
        if mounted.status.success() {
            Ok(Self(folder.to_owned()))
        } else {
            let why = String::from_utf8_lossy(&mounted.stderr);
            Err(format!("a small disk could not be mounted: {}", why.trim()))
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !gone.is_ok_and(|status| status.success()) {
            eprintln!("faults: {} stays mounted", self.0.display());
        }
    }
}
