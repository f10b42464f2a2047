//! Health checks by the clock: what the scheduler does for many connections, what one worker
//! does, and what a check costs the database.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use patchbay_core::{
    clock::SystemClock,
    ids::{CredentialId, OrgId},
    job::Queue,
    secret::{Secret, SecretFields},
    store::{
        connections::{Inserted, NewConnection, TestedAccount},
        credentials::NewCredential,
    },
    vault::{Keyring, Vault},
};
use patchbay_sandbox::square::{DEFAULT_MERCHANT, DEFAULT_TOKEN};
use patchbay_scheduler::{Identity, SchedulerDeps};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::sync::{Keys, StandIn};
use crate::{
    Bench,
    peers::number,
    product::{Home, Place},
    servers::{Fsync, Postgres, Redis},
    table::{Budget, Report, figure},
    worker::WorkerProcess,
};

/// As `worker_queues` comes.
const SLOTS: usize = 2;
/// A connection's row is emptied into its day and its ring once in so many checks.
const ROUNDS: usize = 16;
const ORGS: usize = 100;
const ROUND_WITHIN: Duration = Duration::from_secs(120);
/// How often each connection is due.
const EVERY: Duration = Duration::from_secs(300);
/// A session of PostgreSQL that does nothing tells its statistics after ten seconds.
const STATISTICS_WITHIN: Duration = Duration::from_secs(11);

pub async fn run(bench: &Bench) -> Result<Report> {
    let postgres = Postgres::start()?;
    let redis = Redis::start(Fsync::Everysec)?;
    let mut report = Report::new(
        "health",
        "connections with health due every 5 minutes".to_owned(),
        &[
            "part",
            "connections",
            "checks",
            "lag p99 ms",
            "rows read/check",
            "checks/s",
            "WAL B/check",
            "row writes/check",
            "table B/connection",
        ],
    );
    report.method = format!(
        "Scheduler: one process, due times spread evenly over five minutes (as dense: over so much less that as many \
         are due a second as of the larger number), nobody runs the jobs; lag from the time a check was due to \
         the tick that took it; rows read: index and table rows of connection_health that PostgreSQL fetched. Worker: \
         one process with {SLOTS} slots against the stand-in; {ROUNDS} rounds in which every connection is due, so \
         that each row is emptied once; WAL and row writes of everything in the database meanwhile, jobs included."
    );
    let seconds = bench.number(30, 5) as u64;
    let (few, many) = (bench.number(10_000, 2_000), bench.number(200_000, 20_000));
    let as_dense = EVERY.mul_f64(few as f64 / many as f64);
    let mut rows_per_check = Vec::new();
    for (title, connections, spread, time) in [
        ("scheduler", few, EVERY, Duration::from_secs(seconds)),
        ("scheduler, as dense", few, as_dense, as_dense),
        ("scheduler", many, EVERY, Duration::from_secs(seconds)),
    ] {
        let place = Place {
            database: postgres.empty("scheduler").await?,
            redis: Some(redis.url()),
        };
        let ticked = ticks(place, connections, spread, time).await?;
        let lag = number(&ticked, "lag_p99_ms");
        rows_per_check.push(number(&ticked, "rows_per_check"));
        let mut cells = vec![figure(connections as f64)];
        cells.extend(
            ["checks", "lag_p99_ms", "rows_per_check"].map(|key| figure(number(&ticked, key))),
        );
        report.row(title, cells, ticked);
        report.budget(Budget {
            what: format!(
                "lag p99 of {} connections ({title})",
                figure(connections as f64)
            ),
            got: Some(lag),
            floor: Some(5_000.0),
            aim: 1_500.0,
            unit: " ms",
            at_most: true,
        });
    }
    let [_, dense_few, dense_many] = rows_per_check.as_slice() else {
        bail!("three numbers of rows were measured");
    };
    report.budget(Budget {
        what: "rows read a check, of many over few, as many due a second".to_owned(),
        got: Some(dense_many / dense_few),
        floor: Some(1.5),
        aim: 1.1,
        unit: "x",
        at_most: true,
    });
    let place = Place {
        database: postgres.empty("worker").await?,
        redis: Some(redis.url()),
    };
    let worked = work(place, bench.number(5_000, 500)).await?;
    let mut cells = vec![
        figure(number(&worked, "connections")),
        figure(number(&worked, "checks")),
        "-".to_owned(),
        "-".to_owned(),
    ];
    cells.extend(
        [
            "per_second",
            "wal_per_check",
            "writes_per_check",
            "bytes_per_connection",
        ]
        .map(|key| figure(number(&worked, key))),
    );
    let per_second = number(&worked, "per_second");
    report.row("worker", cells, worked);
    report.budget(Budget {
        what: "checks/s of one worker".to_owned(),
        got: Some(per_second),
        floor: Some(333.0),
        aim: 667.0,
        unit: "",
        at_most: false,
    });
    Ok(report)
}

/// The scheduler alone, for a while.
async fn ticks(
    place: Place,
    connections: usize,
    spread: Duration,
    time: Duration,
) -> Result<Value> {
    let home = Home::make(place).await?;
    let org = home.orgs(1).await?[0];
    let made = format!(
        "insert into connections (id, org_id, provider, name, config, status, health, exclusive, capabilities_off,
                                  created_by, created_at, updated_at)
         select gen_random_uuid(), '{org}', 'square', 'Till', '{{}}', 'active', 'healthy', false, '[]', 'bench', now(), now()
         from generate_series(1, {connections});
         insert into connection_health (connection_id, org_id, provider, every_minutes, next_check_at)
         select id, org_id, provider, 5, null from connections;
         analyze connections; analyze connection_health"
    );
    home.store.db().execute_unprepared(&made).await?;
    // The first is due when the scheduler runs: what was due before is no lag of its own.
    let due = format!(
        "update connection_health
         set next_check_at = clock_timestamp() + interval '3 seconds' + random() * interval '{} milliseconds';
         select pg_stat_force_next_flush()",
        spread.as_millis()
    );
    home.store.db().execute_unprepared(&due).await?;
    let rows = "select (idx_tup_fetch + seq_tup_read)::bigint from pg_stat_user_tables where relname = 'connection_health'";
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = home.number(rows).await?;
    let stop = CancellationToken::new();
    let own = Identity::Own {
        host: "bench".to_owned(),
    };
    let deps = SchedulerDeps::new(
        home.store.clone(),
        Arc::clone(&home.hints),
        Arc::new(SystemClock),
        own,
    );
    let reports = Arc::clone(&deps.reports);
    let duties = tokio::spawn(patchbay_scheduler::run(deps, stop.clone()));
    // The first is due three seconds after the preparation, two of which are over.
    tokio::time::sleep(time + Duration::from_secs(1)).await;
    stop.cancel();
    duties.await?;
    let took = reports
        .all()
        .get("health")
        .map(|report| report.took.as_secs_f64() * 1e3);
    tokio::time::sleep(STATISTICS_WITHIN).await;
    let read = home.number(rows).await? - before;
    let lag = "
        select count(*)::float8,
               coalesce(percentile_cont(0.99) within group (order by lag) * 1000, 0)::float8,
               coalesce(max(lag) * 1000, 0)::float8
        from (select extract(epoch from asked_at - (next_check_at - interval '5 minutes'))::float8 as lag
              from connection_health where asked_at is not null) taken";
    let [checks, p99, longest] = numbers(&home, lag).await?;
    ensure!(checks > 0.0, "the scheduler took no check");
    Ok(json!({
        "connections": connections, "checks": checks, "lag_p99_ms": p99, "lag_max_ms": longest,
        "rows_per_check": read as f64 / checks, "last_run_ms": took, "seconds": time.as_secs(),
    }))
}

/// One worker, every connection due again and again.
async fn work(place: Place, connections: usize) -> Result<Value> {
    let home = Home::make(place).await?;
    let stand_in = StandIn::start(10)?;
    stand_in.ready().await?;
    let keys = Keys::make()?;
    connect(&home, &keys, connections).await?;
    let path = keys.path();
    let more = [
        "--queue",
        "maintenance",
        "--keyring-file",
        &path,
        "--square-url",
        &stand_in.url,
    ];
    let _worker = WorkerProcess::start(&home.place, SLOTS, &more)?;
    // Caches, plans and the worker's first look.
    round(&home, connections).await?;
    let before = spent(&home).await?;
    let mut seconds = 0.0;
    for _ in 0..ROUNDS {
        seconds += round(&home, connections).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = spent(&home).await?;
    let checks = (connections * ROUNDS) as f64;
    // An update for each is the benchmark's, which makes connections due again.
    let due_again = checks;
    let bytes = "
        select (pg_total_relation_size('connection_health') + pg_total_relation_size('health_days')
              + pg_total_relation_size('health_rings'))::bigint";
    let bytes = home.number(bytes).await? as f64;
    let failed = home.number("select count(*) from health_log").await?;
    ensure!(failed == 0, "{failed} checks failed");
    Ok(json!({
        "connections": connections, "checks": checks, "seconds": seconds, "per_second": checks / seconds,
        "wal_per_check": (after.wal - before.wal) / checks,
        "writes_per_check": (after.writes - before.writes - due_again) / checks,
        "bytes_per_connection": bytes / connections as f64,
    }))
}

#[derive(Debug, Clone, Copy)]
struct Spent {
    wal: f64,
    writes: f64,
}

async fn spent(home: &Home) -> Result<Spent> {
    let writes = "
        select (sum(n_tup_ins) + sum(n_tup_upd) + sum(n_tup_del))::float8,
               (select wal_bytes from pg_stat_wal)::float8, 0::float8
        from pg_stat_user_tables";
    let [writes, wal, _] = numbers(home, writes).await?;
    Ok(Spent { wal, writes })
}

/// Every connection is due, ticks make the batches, the worker does them. Seconds from the
/// first tick to the end of the last batch.
async fn round(home: &Home, connections: usize) -> Result<f64> {
    let due = "update connection_health set next_check_at = patchbay_now() - random() * interval '1 second'";
    home.store.db().execute_unprepared(due).await?;
    let began = Instant::now();
    let mut taken = 0;
    loop {
        let ticked = home.store.tick_checks(1_000).await?;
        if ticked.checks == 0 {
            break;
        }
        taken += ticked.checks;
        home.hints.push(Queue::Maintenance, &ticked.jobs).await?;
    }
    ensure!(
        taken == connections as u64,
        "{taken} of {connections} were due"
    );
    let open = "select count(*) from jobs where kind = 'health_batch' and state <> 'succeeded'";
    while home.number(open).await? > 0 {
        if began.elapsed() > ROUND_WITHIN {
            bail!("a round of {connections} checks did not end within {ROUND_WITHIN:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Active connections with the token that the stand-in takes.
async fn connect(home: &Home, keys: &Keys, connections: usize) -> Result<()> {
    let vault = Vault::new(
        Keyring::parse(&keys.text)?,
        home.store.deployment_id().await?,
    );
    let orgs: Vec<OrgId> = home.orgs(ORGS).await?;
    let mut made = 0;
    while made < connections {
        let tx = home.store.begin().await?;
        for place in made..connections.min(made + 250) {
            let org = orgs[place % ORGS];
            let new = NewConnection {
                org,
                provider: "square".to_owned(),
                name: "Till".to_owned(),
                config: json!({}),
                exclusive: false,
                created_by: "bench".to_owned(),
            };
            let Inserted::New(row) = home.store.insert_connection(&tx, new).await? else {
                bail!("a connection that is not exclusive is new");
            };
            let id = CredentialId::new(home.store.clock());
            let fields =
                SecretFields([("access_token".to_owned(), Secret::new(DEFAULT_TOKEN))].into());
            let sealed = vault
                .close_credential(&home.store, &tx, org, row.id, id, &fields)
                .await?;
            let credential = NewCredential {
                id,
                sealed,
                mask: json!({}),
                expires_at: None,
                created_by: "bench".to_owned(),
                grant: None,
            };
            home.store
                .replace_credential(&tx, org, row.id, credential)
                .await?;
            let account = TestedAccount {
                key: DEFAULT_MERCHANT.to_owned(),
                name: "Till".to_owned(),
            };
            home.store
                .activate_connection(&tx, &row, json!({}), &account, "bench")
                .await?;
        }
        tx.commit().await?;
        made = connections.min(made + 250);
    }
    home.store
        .db()
        .execute_unprepared("analyze connections; analyze credentials; analyze connection_health")
        .await?;
    Ok(())
}

/// Three numbers that a query answers.
async fn numbers(home: &Home, sql: &str) -> Result<[f64; 3]> {
    let statement = Statement::from_string(home.store.db().get_database_backend(), sql.to_owned());
    let row = home.store.db().query_one_raw(statement).await?;
    let row = row.context("one row")?;
    Ok([
        row.try_get_by_index(0)?,
        row.try_get_by_index(1)?,
        row.try_get_by_index(2)?,
    ])
}
