//! How PostgreSQL finds what is wrong or late among very much that is not: the statements as
//! the product sends them, explained by the server itself (`auto_explain`).

use std::{
    io,
    sync::{Arc, Mutex},
};

use patchbay_core::{
    clock::SystemClock,
    ids::OrgId,
    store::{
        Store,
        alerts::AlertWalk,
        connect::{ConnectOptions, connect},
    },
};
use patchbay_tests::TestDatabase;
use sea_orm::ConnectionTrait;
use tracing_subscriber::{Layer, filter::Targets, fmt::MakeWriter, layer::SubscriberExt};

mod many_orgs;

/// Rows of each kind that are as they should be.
const HEALTHY: u32 = 100_000;
/// Connections that failed once, in an outage that is over by now: too little to tell anybody.
const FAILED_ONCE: u32 = 100_000;

/// What the server says beside its answers.
#[derive(Clone, Default)]
struct Notices(Arc<Mutex<Vec<u8>>>);

impl io::Write for Notices {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Notices {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Notices {
    /// The plans since the last time, a text each.
    fn plans(&self) -> Vec<String> {
        let text = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(text).unwrap();
        let plans = text.split("Query Text: ").skip(1);
        plans.map(str::to_owned).collect()
    }
}

async fn open(database: &TestDatabase) -> Store {
    let options = ConnectOptions {
        max_connections: 2,
        application_name: "test".into(),
    };
    let db = connect(database.url(), options).await.unwrap();
    Store::new(db, Arc::new(SystemClock))
}

/// An org where everything is as it should be, in great number, and of each cause a few beside.
async fn fill(store: &Store) -> OrgId {
    let tx = store.begin().await.unwrap();
    let org = store.create_org(&tx, "ours", "test").await.unwrap().id;
    tx.commit().await.unwrap();
    let connections = |count: u32, status: &str, health: &str, failures: u32| {
        format!(
            "insert into connections (id, org_id, provider, name, config, status, health, exclusive,
                 capabilities_off, error_count, created_by, created_at, updated_at)
             select gen_random_uuid(), '{org}', 'square', 'Till', '{{}}', '{status}', '{health}', false,
                 '[]', {failures}, 'test', now(), now() from generate_series(1, {count})"
        )
    };
    let schedules = |count: u32, due: &str| {
        format!(
            "insert into schedules (id, org_id, connection_id, stream, capability, pull, every_s, misfire,
                 tick, next_at, created_by, created_at, updated_at)
             select gen_random_uuid(), org_id, id, 'sales', 'sync_sales', 'incremental', 3600, 'last',
                 now() - interval '2 hours', {due}, 'test', now(), now() from connections limit {count}"
        )
    };
    let jobs = |count: u32, lane: &str, state: &str, due: &str| {
        format!(
            "insert into jobs (id, org_id, connection_id, kind, queue, lane, args, state, run_at,
                 max_attempts, timeout_s, requested_by, created_at, finished_at)
             select gen_random_uuid(), org_id, id, 'noop', 'sync', {lane}, '{{}}', '{state}', {due},
                 3, 60, 'test', now(), case when '{state}' in ('succeeded', 'failed') then now() end
             from connections limit {count}"
        )
    };
    let later = "now() + random() * interval '1 hour'";
    let long_ago = "now() - interval '1 hour'";
    let statements = [
        connections(HEALTHY, "active", "healthy", 0),
        schedules(HEALTHY, later),
        // Born dead and done: what the trigger keeps from happening one by one.
        "alter table jobs disable trigger user".to_owned(),
        jobs(HEALTHY, "null", "succeeded", "now()"),
        jobs(HEALTHY, "null", "queued", later),
        jobs(5_000, "'lane-' || id", "queued", later),
        connections(3, "error", "failing", 1),
        connections(2, "expired", "failing", 1),
        connections(4, "active", "healthy", 7),
        connections(FAILED_ONCE, "active", "healthy", 1),
        schedules(5, long_ago),
        jobs(6, "null", "failed", "now()"),
        jobs(1, "null", "queued", long_ago),
        "alter table jobs enable trigger user".to_owned(),
        "analyze".to_owned(),
    ];
    for statement in statements {
        store.db().execute_unprepared(&statement).await.unwrap();
    }
    org
}

/// Lanes in which a job runs and one has waited behind it for long.
async fn fill_busy_lanes(store: &Store) {
    let sql = "alter table jobs disable trigger user;
        insert into jobs (id, org_id, connection_id, kind, queue, lane, args, state, run_at,
            max_attempts, timeout_s, requested_by, created_at, leased_by, deadline)
        select gen_random_uuid(), c.org_id, c.id, 'noop', 'sync', 'busy-' || c.id, '{}', job.state,
            now() - interval '1 hour', 3, 60, 'test', now(),
            case when job.state = 'running' then gen_random_uuid() end,
            case when job.state = 'running' then now() end
        from (select id, org_id from connections limit 500) c,
             (values ('running'), ('queued')) job (state);
        alter table jobs enable trigger user;
        analyze jobs";
    store.db().execute_unprepared(sql).await.unwrap();
}

/// The server tells of every plan on connections that are opened from now on.
async fn explain(store: &Store) {
    let name = "select current_database()::text as name";
    let row = store.db().query_one_raw(sea_orm::Statement::from_string(
        store.db().get_database_backend(),
        name,
    ));
    let name: String = row.await.unwrap().unwrap().try_get("", "name").unwrap();
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_level = notice",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
    ] {
        let sql = format!("alter database {name} set {setting}");
        store.db().execute_unprepared(&sql).await.unwrap();
    }
}

/// What the server says from now on. One thread does everything here, and this process nothing else.
fn listen() -> Notices {
    let notices = Notices::default();
    let only_notices = Targets::new().with_target("sqlx::postgres::notice", tracing::Level::INFO);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(notices.clone())
        .with_ansi(false)
        .with_filter(only_notices);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).unwrap();
    notices
}

#[tokio::test]
async fn a_look_finds_each_cause_through_its_index() {
    let notices = listen();
    let database = TestDatabase::fresh().await;
    let store = open(&database).await;
    fill(&store).await;
    fill_busy_lanes(&store).await;
    explain(&store).await;
    let store = open(&database).await;

    let mut walk = AlertWalk::default();
    let mut raised = store.look_for_alerts(&mut walk).await.unwrap();
    let mut looks = 1;
    while walk != AlertWalk::default() {
        raised.extend(store.look_for_alerts(&mut walk).await.unwrap());
        looks += 1;
    }
    // 9 connections; dead jobs of 6; late schedules; an old queue.
    assert_eq!(raised.len(), 9 + 6 + 1 + 1);
    assert_eq!(
        looks, 6,
        "a look goes through 20,000 that failed and no more"
    );
    let raising = notices.plans();
    let seen_again = store.look_for_alerts(&mut walk).await.unwrap();
    assert!(seen_again.is_empty(), "{seen_again:?}");
    let plans = [raising, notices.plans()].concat();

    let raises = [
        ("where (c.status in", "connections_wrong on"),
        ("select org_id, connection_id from jobs", "jobs_dead_causes"),
        (
            "select count(*) as seen from (select 1 from jobs",
            "jobs_dead_causes",
        ),
        (
            "as seen from (select org_id, next_at from schedules",
            "schedules_due",
        ),
        ("lane is null and queue = 'sync'", "jobs_due on"),
        ("lane is not null and queue = 'sync'", "jobs_due_lanes"),
        (
            "lane is not null and queue = 'sync'",
            "jobs_lane_running on",
        ),
    ];
    for (statement, index) in raises {
        let of: Vec<&String> = plans
            .iter()
            .filter(|plan| plan.contains(statement))
            .collect();
        assert!(!of.is_empty(), "no plan of: {statement}\n{plans:#?}");
        for plan in of {
            assert!(plan.contains(index), "{index} is not used:\n{plan}");
        }
    }
    // Nothing that a look asks for, raising, resolving or seeing again, walks through what is as
    // it should be: of jobs that wait at most a thousand of an org and queue are looked at.
    assert!(plans.iter().any(|plan| plan.contains("from alerts a")));
    for plan in &plans {
        assert!(rows_read(plan) <= 1_100, "{plan}");
    }
    let most = plans.iter().map(|plan| rows_read(plan)).max();
    assert_eq!(
        most,
        Some(1_000),
        "the server counts, and a look stops there"
    );
}

#[tokio::test]
async fn how_late_duties_are_is_read_from_a_row_each() {
    let notices = listen();
    let database = TestDatabase::fresh().await;
    let store = open(&database).await;
    let tx = store.begin().await.unwrap();
    let org = store.create_org(&tx, "ours", "test").await.unwrap().id;
    tx.commit().await.unwrap();
    let now = "patchbay_now()";
    let connections = format!(
        "insert into connections (id, org_id, provider, name, config, status, health, exclusive,
             capabilities_off, error_count, created_by, created_at, updated_at)
         select gen_random_uuid(), '{org}', 'square', 'Till', '{{}}', 'active', 'healthy', false,
             '[]', 0, 'test', {now}, {now} from generate_series(1, 10000)"
    );
    let batches = |count: u32, due: &str| {
        format!(
            "insert into jobs (id, kind, queue, args, state, run_at, max_attempts, timeout_s, requested_by, created_at)
             select gen_random_uuid(), 'health_batch', 'maintenance', '{{}}', 'queued', {due}, 3, 300, 'schedule', {now}
             from generate_series(1, {count})"
        )
    };
    let processes = |count: u32, lease: &str| {
        format!(
            "insert into processes (id, kind, version, host, started_at, lease_until)
             select gen_random_uuid(), 'worker', '1', 'test', {now}, {lease} from generate_series(1, {count})"
        )
    };
    let credentials = |count: u32, due: &str| {
        format!(
            "insert into credentials (id, org_id, connection_id, version, sealed, mask, created_by, created_at,
                 origin, refreshable, refresh_failures, refresh_due_at)
             select gen_random_uuid(), org_id, id, 1, '\\x01', '{{}}', 'test', {now}, 'consent', true, 0, {due}
             from (select id, org_id, row_number() over (order by id) as no from connections where status = 'active') c
             where no > {skip} limit {count}",
            skip = if count > 1_000 { 1_000 } else { 0 }
        )
    };
    let ago = |minutes: u32| format!("{now} - interval '{minutes} minutes'");
    let later = format!("{now} + (1 + random()) * interval '1 hour'");
    for statement in [
        connections,
        batches(3_000, &later),
        batches(300, &ago(10)),
        processes(500, &later),
        processes(1, &ago(20)),
        format!(
            "update jobs set state = 'running', lease_epoch = 1, leased_by = (select id from processes where lease_until < {now}),
                 deadline = {now} where id = (select id from jobs where state = 'queued' and run_at > {now} limit 1)"
        ),
        format!(
            "insert into connection_health (connection_id, org_id, provider, every_minutes, next_check_at)
             select id, org_id, provider, 5, {later} from connections"
        ),
        credentials(8_000, &later),
        credentials(300, &ago(30)),
        "analyze".to_owned(),
    ] {
        store.db().execute_unprepared(&statement).await.unwrap();
    }
    explain(&store).await;
    let store = open(&database).await;

    let checks = store.check_lag().await.unwrap();
    let rescue = store.rescue_lag().await.unwrap();
    let refresh = store.refresh_lag().await.unwrap();
    for (found, minutes) in [(checks, 10), (rescue, 20), (refresh, 30)] {
        assert_eq!(found.as_secs() / 60, minutes, "{found:?}");
    }
    let plans = notices.plans();
    for index in [
        "connection_health_due",
        "jobs_due on",
        "processes_live",
        "jobs_leased",
        "credentials_refresh_due",
    ] {
        assert!(
            plans.iter().any(|plan| plan.contains(index)),
            "{index} is not used:\n{plans:#?}"
        );
    }
    for plan in &plans {
        assert!(rows_read(plan) <= 1, "{plan}");
    }
}

/// The most rows that a step of a plan took or passed over.
fn rows_read(plan: &str) -> u64 {
    let number = |text: &str| -> u64 {
        let digits = text.split(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap().parse().unwrap()
    };
    let step = |line: &str| {
        let after = |mark: &str| line.split_once(mark).map(|(_, rest)| number(rest));
        let taken = after("actual rows=").map(|rows| rows * after(" loops=").unwrap_or(1));
        taken.or(after("Rows Removed by Filter: "))
    };
    plan.lines().filter_map(step).max().unwrap_or(0)
}
