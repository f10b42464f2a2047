//! Schedules by the hundred thousand: how late their ticks are, what a tick reads, and how
//! fast a backlog of all of them becomes jobs.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{
    clock::{Clock, SystemClock},
    entities::schedule,
    hints::MemoryHints,
    ids::{ConnectionId, OrgId, ScheduleId},
    schedule::{Misfire, SchedulePull},
};
use patchbay_scheduler::{Identity, SchedulerDeps};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Bench,
    product::{Home, Place, open_store},
    servers::Postgres,
    table::{Budget, Report, figure},
};

/// Of the larger number: five minutes, the shortest that people choose for all of their
/// connections. The smaller runs ten times as often: as many ticks a second, so that what a
/// tick reads differs by the number of schedules alone.
const EVERY_S: i64 = 300;
const TIMES: usize = 10;
const ORGS: usize = 1_000;
const SCHEDULERS: usize = 2;
/// Rows in one statement of the preparation.
const ROWS: usize = 10_000;
/// A lag that says: caught up.
const IN_TIME: Duration = Duration::from_millis(500);
/// Time for two schedulers to notice each other and for statistics to arrive.
const SETTLE: Duration = Duration::from_secs(3);
const BACKLOG_WITHIN: Duration = Duration::from_secs(600);

/// What was measured of so many schedules.
struct Measured {
    ticks: i64,
    lag_p50_ms: f64,
    lag_p99_ms: f64,
    /// Entries of the index of due times, of due schedules and of others.
    read_per_tick: f64,
    backlog_per_s: f64,
}

pub async fn run(bench: &Bench) -> Result<Report> {
    let large = bench.number(200_000, 20_000);
    let sizes = [(large / TIMES, EVERY_S / TIMES as i64), (large, EVERY_S)];
    let steady = Duration::from_secs(bench.number(60, 15) as u64);
    let postgres = Postgres::start_dating_commits(bench.statements)?;
    let mut report = Report::new(
        "schedules",
        format!(
            "{} ticks a second, {SCHEDULERS} schedulers",
            large as i64 / EVERY_S
        ),
        &[
            "ticks",
            "lag p50 ms",
            "lag p99 ms",
            "index rows read a tick",
            "backlog jobs/s",
        ],
    );
    report.method = format!(
        "One connection a schedule, {ORGS} orgs, on PostgreSQL; no worker. First all are overdue: until each has its job. \
         Then {} s at the pace of the clock: from the moment a tick is due to the commit that holds its job \
         (pg_xact_commit_timestamp), and what the index of due times was read for by both schedulers, empty looks included.",
        steady.as_secs()
    );
    let mut measured = Vec::new();
    for (number, (size, every_s)) in sizes.into_iter().enumerate() {
        let database = postgres.empty(&format!("patchbay_{number}")).await?;
        let (one, statements) =
            measure(database, (size, every_s), steady, bench.statements).await?;
        for line in statements {
            eprintln!("  {line}");
        }
        let cells = [
            one.ticks as f64,
            one.lag_p50_ms,
            one.lag_p99_ms,
            one.read_per_tick,
            one.backlog_per_s,
        ];
        let data = json!({
            "schedules": size, "ticks": one.ticks, "lag_p50_ms": one.lag_p50_ms, "lag_p99_ms": one.lag_p99_ms,
            "read_per_tick": one.read_per_tick, "backlog_per_s": one.backlog_per_s,
        });
        report.row(
            format!("{} schedules of every {every_s} s", figure(size as f64)),
            cells.map(figure).into(),
            data,
        );
        measured.push(one);
    }
    let [small, large] = measured.as_slice() else {
        anyhow::bail!("two sizes were measured");
    };
    report.budget(Budget {
        what: "lag p99 of the larger".to_owned(),
        got: Some(large.lag_p99_ms),
        floor: Some(1_000.0),
        aim: 300.0,
        unit: " ms",
        at_most: true,
    });
    report.budget(Budget {
        what: "rows read a tick, ten times the schedules over one".to_owned(),
        got: Some(large.read_per_tick / small.read_per_tick),
        floor: Some(1.5),
        aim: 1.1,
        unit: "x",
        at_most: true,
    });
    Ok(report)
}

async fn measure(
    database: String,
    (size, every_s): (usize, i64),
    steady: Duration,
    count_statements: bool,
) -> Result<(Measured, Vec<String>)> {
    let home = Home::make(Place {
        database,
        redis: None,
    })
    .await?;
    let orgs = home.orgs(ORGS).await?;
    let overdue = SystemClock.now() - TimeDelta::seconds(2 * every_s);
    fill(&home, &orgs, (size, every_s), overdue).await?;
    sql(&home, "vacuum (analyze)").await?;

    let crew = Crew::start(&home.place.database).await?;
    let began = std::time::Instant::now();
    while home.number("select count(*) from jobs").await? < i64::try_from(size)? {
        ensure!(began.elapsed() < BACKLOG_WITHIN, "the backlog is not done");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let backlog_per_s = size as f64 / began.elapsed().as_secs_f64();
    crew.stop().await;
    let statements = match count_statements {
        true => home.statements().await?,
        false => Vec::new(),
    };

    // Workers would have done them: each tick of the next round has a job of its own.
    sql(&home, "truncate jobs, job_logs, schedule_ticks cascade").await?;
    sql(&home, "vacuum (analyze)").await?;
    let crew = Crew::start(&home.place.database).await?;
    // What came due meanwhile is no part of the pace of the clock.
    let began = std::time::Instant::now();
    while home.store.schedule_lag().await? > IN_TIME {
        ensure!(
            began.elapsed() < BACKLOG_WITHIN,
            "the schedulers do not catch up"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(SETTLE).await;
    sql(&home, "truncate jobs, job_logs, schedule_ticks cascade").await?;
    let read_before = home.number(READ).await?;
    tokio::time::sleep(steady).await;
    crew.stop().await;
    tokio::time::sleep(SETTLE).await;
    let ticks = home.number("select count(*) from schedule_ticks").await?;
    let read = home.number(READ).await? - read_before;
    ensure!(ticks > 0, "no tick was due");
    let measured = Measured {
        ticks,
        lag_p50_ms: lag(&home, 0.5).await?,
        lag_p99_ms: lag(&home, 0.99).await?,
        read_per_tick: read as f64 / ticks as f64,
        backlog_per_s,
    };
    Ok((measured, statements))
}

const READ: &str =
    "select idx_tup_read::bigint from pg_stat_user_indexes where indexrelname = 'schedules_due'";

/// Milliseconds from the moment a tick was due to the commit of its job.
async fn lag(home: &Home, share: f64) -> Result<f64> {
    let query = format!(
        "select (percentile_disc({share}) within group (order by extract(epoch from
             pg_xact_commit_timestamp(done.xmin) - (done.tick + (schedules.next_at - schedules.tick)))) * 1000000)::bigint
         from schedule_ticks done join schedules on schedules.id = done.schedule_id"
    );
    Ok(home.number(&query).await? as f64 / 1_000.0)
}

async fn sql(home: &Home, text: &str) -> Result<()> {
    home.store.db().execute_unprepared(text).await?;
    Ok(())
}

/// Connections, and a schedule for each, as the API makes them: first due after `now`.
async fn fill(
    home: &Home,
    orgs: &[OrgId],
    (size, every_s): (usize, i64),
    now: DateTime<Utc>,
) -> Result<()> {
    const CONNECTIONS: &str = "
        insert into connections (id, org_id, provider, name, config, status, health, exclusive, capabilities_off,
                                 created_by, created_at, updated_at)
        select id, org, 'square', 'bench', '{}', 'active', 'unknown', false, '[]', 'bench', now(), now()
        from unnest($1::uuid[], $2::uuid[]) as new (id, org)";
    const SCHEDULES: &str = "
        insert into schedules (id, org_id, connection_id, stream, capability, pull, every_s, misfire, tick, next_at,
                               created_by, created_at, updated_at)
        select id, org, connection, 'catalog', 'sync_catalog', 'incremental', $6, 'last', tick, next_at, 'bench', now(), now()
        from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[])
             as new (id, org, connection, tick, next_at)";
    let rows: Vec<schedule::Model> = (0..size)
        .map(|number| row(orgs[number % orgs.len()], every_s, now))
        .collect::<Result<_>>()?;
    for rows in rows.chunks(ROWS) {
        let uuids = |of: fn(&schedule::Model) -> uuid::Uuid| -> Value {
            rows.iter().map(of).collect::<Vec<_>>().into()
        };
        let times = |of: fn(&schedule::Model) -> Option<DateTime<Utc>>| -> Value {
            rows.iter().filter_map(of).collect::<Vec<_>>().into()
        };
        let connections = [uuids(|row| row.connection_id.0), uuids(|row| row.org_id.0)];
        let schedules = [
            uuids(|row| row.id.0),
            uuids(|row| row.org_id.0),
            uuids(|row| row.connection_id.0),
            times(|row| row.tick),
            times(|row| row.next_at),
            every_s.into(),
        ];
        let db = home.store.db();
        for (text, values) in [
            (CONNECTIONS, connections.to_vec()),
            (SCHEDULES, schedules.to_vec()),
        ] {
            db.execute_raw(Statement::from_sql_and_values(
                DbBackend::Postgres,
                text,
                values,
            ))
            .await?;
        }
    }
    Ok(())
}

fn row(org: OrgId, every_s: i64, now: DateTime<Utc>) -> Result<schedule::Model> {
    let mut row = schedule::Model {
        id: ScheduleId::new(&SystemClock),
        org_id: org,
        connection_id: ConnectionId::new(&SystemClock),
        stream: "catalog".to_owned(),
        capability: "sync_catalog".to_owned(),
        pull: SchedulePull::Incremental,
        every_s: Some(every_s),
        cron: None,
        time_zone: None,
        misfire: Misfire::Last,
        tick: None,
        next_at: None,
        paused_at: None,
        last_tick: None,
        last_outcome: None,
        last_job_id: None,
        last_at: None,
        created_by: "bench".to_owned(),
        created_at: now,
        updated_at: now,
    };
    let timing = row.timing().context("a period")?;
    let next = row.first_after(&timing, now).context("a next time")?;
    (row.tick, row.next_at) = (Some(next.tick), Some(next.due));
    Ok(row)
}

/// Schedulers as a fleet has them, each with connections of its own.
struct Crew {
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Crew {
    async fn start(database: &str) -> Result<Self> {
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        for number in 0..SCHEDULERS {
            let deps = SchedulerDeps::new(
                open_store(database, "patchbay-scheduler").await?,
                Arc::new(MemoryHints::new()),
                Arc::new(SystemClock),
                Identity::Own {
                    host: format!("bench {number}"),
                },
            );
            running.spawn(patchbay_scheduler::run(deps, stop.clone()));
        }
        Ok(Self { stop, running })
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.join_all().await;
    }
}
