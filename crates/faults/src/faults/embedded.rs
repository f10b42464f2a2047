//! The whole product in one process on SQLite, killed again and again while it writes: at a
//! moment of its own choosing, and in the middle of a transaction.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use patchbay_tests::{Process, free_port};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::Value;
use uuid::Uuid;

use super::Run;
use crate::{
    abroad::{Abroad, Place},
    client::{Client, Drill},
    findings::Invariant,
    outcome::Outcome,
};

pub async fn run(run: Run) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let port = free_port();
    let abroad = Abroad::open().await?;
    let mut up = start(&data, port, &abroad)?;
    up.ready(port).await?;
    up.terminate(Duration::from_secs(20)).await?;
    let file = data.join("patchbay.db");
    let effects = "create table drill_effects (job_id, step integer, epoch integer)";
    let database = open(&file).await?;
    database.execute_unprepared(effects).await?;
    database.close().await?;
    let instance: Value = serde_json::from_slice(&std::fs::read(data.join("instance.json"))?)?;
    let key = instance["api_key"].as_str().context("the owner's key")?;
    let client = Client::new(vec![port], key.to_owned())?;

    let mut outcome = Outcome::new("embedded killed mid-write");
    let mut unanswered: Option<(String, Vec<Drill>)> = None;
    for round in 0..run.number(100, 5) {
        let mut up = start(&data, port, &abroad)?;
        up.ready(port).await?;
        let pause = Duration::from_millis(10);
        let by_place = round % 2 == 0;
        let address = if by_place {
            abroad.kill_at(Place::Inside, 1)
        } else {
            abroad.calm()
        };
        let mut drills = vec![Drill::new(3, pause, Some(abroad.calm())).with("inside", true); 6];
        drills.push(Drill::new(3, pause, Some(address)).with("inside", true));
        // A job may be so quick that the process dies before it has answered.
        if let Some((request, drills)) = unanswered.take() {
            client.ask(0, &request, &drills).await?;
        }
        let request = Uuid::now_v7().to_string();
        if client.ask(0, &request, &drills).await?.is_none() {
            unanswered = Some((request, drills));
        }
        if by_place {
            up.wait(Duration::from_secs(20)).await?;
        } else {
            tokio::time::sleep(Duration::from_millis(7 * (round as u64 % 40))).await;
            up.kill()?;
        }
        abroad.forget(up.id());
        outcome.injections += 1;
    }
    let mut up = start(&data, port, &abroad)?;
    up.ready(port).await?;
    if let Some((request, drills)) = unanswered {
        client.ask(0, &request, &drills).await?;
    }
    let give_up = Instant::now() + Duration::from_secs(120);
    let database = open(&file).await?;
    let open_jobs = "select count(*) from jobs where state in ('queued', 'parked', 'running')";
    while count(&database, open_jobs).await? > 0 && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    up.terminate(Duration::from_secs(30)).await?;
    judge(&database, &client, &mut outcome).await?;
    outcome.recoveries = abroad.recoveries();
    Ok(outcome)
}

fn start(data: &Path, port: u16, abroad: &Abroad) -> Result<Process> {
    let (data, listen) = (data.display().to_string(), format!("127.0.0.1:{port}"));
    let arguments = ["up", "--data-dir", &data, "--listen", &listen];
    let variables = [("PATCHBAY_OUTBOUND__ALLOW", "127.0.0.0/8")];
    let up = Process::start(&crate::binary()?, &arguments, &variables)?;
    abroad.admit(up.id());
    Ok(up)
}

async fn open(file: &Path) -> Result<DatabaseConnection> {
    Ok(Database::connect(format!("sqlite://{}?mode=rw", file.display())).await?)
}

async fn judge(
    database: &DatabaseConnection,
    client: &Client,
    outcome: &mut Outcome,
) -> Result<()> {
    let sound = statement("pragma integrity_check");
    let said: String = database
        .query_one_raw(sound)
        .await?
        .context("an answer")?
        .try_get_by_index(0)?;
    if said != "ok" {
        outcome
            .findings
            .say(Invariant::Lost, format!("integrity_check: {said}"));
    }
    outcome.note(format!("integrity_check: {said}"));
    let jobs = statement("select id, state, attempt from jobs");
    let mut states: HashMap<Uuid, (String, i32)> = HashMap::new();
    for row in database.query_all_raw(jobs).await? {
        let state = (row.try_get("", "state")?, row.try_get("", "attempt")?);
        states.insert(row.try_get("", "id")?, state);
    }
    let effects =
        statement("select job_id, step, count(*) as times from drill_effects group by 1, 2");
    let mut steps: HashMap<Uuid, usize> = HashMap::new();
    for row in database.query_all_raw(effects).await? {
        let job: Uuid = row.try_get("", "job_id")?;
        *steps.entry(job).or_default() += 1;
        let times: i64 = row.try_get("", "times")?;
        if times > 1 {
            outcome
                .findings
                .say(Invariant::DatabaseTwice, format!("{job}: {times} times"));
        }
    }
    let acks = client.log().acks.clone();
    outcome.note(format!("{} acknowledged", acks.len()));
    for ack in &acks {
        let state = states.get(&ack.job);
        let taken = steps.get(&ack.job).copied().unwrap_or(0);
        if state.map(|state| state.0.as_str()) != Some("succeeded") || taken as i64 != ack.steps {
            let what = format!("{}: {state:?} with {taken} effects", ack.job);
            outcome.findings.say(Invariant::Lost, what);
        }
    }
    Ok(())
}

async fn count(database: &DatabaseConnection, sql: &str) -> Result<i64> {
    let row = database.query_one_raw(statement(sql)).await?;
    Ok(row.context("one row")?.try_get_by_index(0)?)
}

fn statement(sql: &str) -> Statement {
    Statement::from_string(DbBackend::Sqlite, sql.to_owned())
}
