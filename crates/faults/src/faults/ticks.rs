//! Three schedulers, killed at random, and twenty schedules that are due every second: each
//! tick makes one job, and none is left out.
//!
//! The misfire policy is `all` and the connection works, so by the product's own rules each tick
//! has a job of its own, also the up to a hundred that were missed at once: none may join
//! another's, none may be passed over. No worker runs, so that nothing changes the connection;
//! the jobs are ended by the test.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sea_orm::ConnectionTrait;

use super::{Run, provider};
use crate::{
    checker::{self, Allowed},
    findings::Invariant,
    outcome::Outcome,
    stage::{Plan, Role, Stage},
    witness,
};

const SCHEDULES: u32 = 20;
/// The kinds of work are told apart by stream, which nobody reads here.
const MAKE: &str = "
    insert into schedules (id, org_id, connection_id, stream, capability, pull, every_s, misfire,
                           tick, next_at, created_by, created_at, updated_at)
    select gen_random_uuid(), c.org_id, c.id, 'stream-' || n, 'sync_catalog', 'full', 1, 'all',
           first.tick, first.tick, 'test', now(), now()
    from connections c, generate_series(1, $count) n,
         (select date_trunc('second', now()) + interval '1 second' as tick) first";
const END_JOBS: &str = "
    update jobs set state = 'cancelled', finished_at = clock_timestamp()
    where id in (select id from jobs where kind = 'sync' and state = 'queued' for update skip locked)";
/// From the first tick that a schedule was given up to the one that is next, one a second.
const DUE: &str = "
    select coalesce(sum(extract(epoch from
        tick - (date_trunc('second', created_at) + interval '1 second'))), 0)::bigint from schedules";
const OF_EACH_OUTCOME: &str = "
    select coalesce(string_agg(outcome || ' ' || count, ', ' order by outcome), 'none')
    from (select outcome, count(*) from schedule_ticks group by outcome) ticks";
const PAUSE: &str = "update schedules set paused_at = now()";

pub async fn run(run: Run) -> Result<Outcome> {
    let (_provider, plan) = provider::stand_in(run)?;
    let plan = Plan {
        schedulers: 3,
        workers: 1,
        ..plan
    };
    let mut stage = Stage::open(plan).await?;
    let client = stage.client.clone();
    provider::connect(&mut stage, &client).await?;
    for worker in stage.places(Role::Worker) {
        stage.seats[worker].vacant = true;
        stage.kill(worker)?;
    }
    let make = MAKE.replace("$count", &SCHEDULES.to_string());
    stage.database.execute_unprepared(&make).await?;

    let mut outcome = Outcome::new("three schedulers killed, ticks");
    let schedulers = stage.places(Role::Scheduler);
    let began = Instant::now();
    let end = began + Duration::from_secs(run.number(102, 12) as u64);
    let mut kill_at = began + Duration::from_secs(2);
    while Instant::now() < end {
        stage.tend()?;
        stage.database.execute_unprepared(END_JOBS).await?;
        if Instant::now() > kill_at {
            // As random as the moment is.
            let chance = began.elapsed().subsec_nanos() as usize / 1_000;
            stage.kill(schedulers[chance % schedulers.len()])?;
            kill_at = Instant::now() + Duration::from_millis(400 + chance as u64 % 900);
            outcome.injections += 1;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    // Whoever is left catches up, then all is at rest.
    stage.run_for(Duration::from_secs(2)).await?;
    stage.database.execute_unprepared(PAUSE).await?;
    stage.run_for(Duration::from_secs(1)).await?;
    stage.database.execute_unprepared(END_JOBS).await?;

    outcome.findings = checker::check(&stage, Allowed::default()).await?;
    let count = async |sql: &str| witness::number(&stage.database, sql).await;
    let due = count(DUE).await?;
    let ticks = count("select count(*) from schedule_ticks").await?;
    let made = count("select count(*) from schedule_ticks where outcome = 'made'").await?;
    let jobs = count("select count(*) from jobs where kind = 'sync'").await?;
    let named =
        count("select count(distinct job_id) from schedule_ticks where outcome = 'made'").await?;
    let outcomes = stage
        .database
        .query_one_raw(witness::statement(OF_EACH_OUTCOME))
        .await?
        .context("one row")?;
    let outcomes: String = outcomes.try_get_by_index(0)?;
    outcome.note(format!(
        "{due} ticks due, {ticks} dealt with ({outcomes}), {jobs} jobs"
    ));
    let mut broken = |what: String| outcome.findings.say(Invariant::Tick, what);
    let least = run.number(2_000, 200) as i64;
    if due < least {
        broken(format!("the schedules came to {due} ticks, not {least}"));
    }
    if ticks != due {
        broken(format!("{ticks} ticks of {due} were dealt with"));
    }
    if made != due {
        broken(format!("{made} of {due} ticks made a job of their own"));
    }
    if jobs != made || named != made {
        broken(format!("{jobs} jobs, {named} named by {made} ticks"));
    }
    Ok(outcome)
}
