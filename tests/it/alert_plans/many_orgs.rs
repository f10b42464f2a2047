//! Among very many orgs: what one of them costs the look for all.

use patchbay_core::{ids::OrgId, job::Queue, store::alerts::AlertWalk};
use patchbay_tests::TestDatabase;
use sea_orm::ConnectionTrait;

use super::{explain, listen, open, rows_read};

const ORGS: u32 = 300;
/// Of each org.
const CONNECTIONS: u32 = 200;

fn orgs() -> String {
    format!(
        "insert into orgs (id, name, created_at) select gen_random_uuid(), 'Org ' || n, now()
         from generate_series(1, {ORGS}) n"
    )
}

fn connections() -> String {
    format!(
        "insert into connections (id, org_id, provider, name, config, status, health, exclusive,
             capabilities_off, error_count, created_by, created_at, updated_at)
         select gen_random_uuid(), id, 'square', 'Till', '{{}}', 'active', 'healthy', false,
             '[]', 0, 'test', now(), now() from orgs, generate_series(1, {CONNECTIONS})"
    )
}

#[tokio::test]
async fn alerts_on_late_schedules_resolve_without_a_walk_through_the_schedules_of_others() {
    let notices = listen();
    let database = TestDatabase::fresh().await;
    let store = open(&database).await;
    let late = "insert into alerts (id, org_id, kind, cause_key, count, seen, first_seen, last_seen)
         select gen_random_uuid(), id, 'schedules_late', 'schedules_late', 1, 1, now(), now() from orgs";
    let schedules = "insert into schedules (id, org_id, connection_id, stream, capability, pull, every_s, misfire,
             tick, next_at, created_by, created_at, updated_at)
         select gen_random_uuid(), org_id, id, 'sales', 'sync_sales', 'incremental', 3600, 'last',
             now() - interval '2 hours', now() + random() * interval '1 hour', 'test', now(), now() from connections";
    let still_late = "update schedules set next_at = now() - interval '1 hour' where id in (
             select distinct on (org_id) id from schedules order by org_id, id limit 7)";
    let statements = [
        &orgs(),
        &connections(),
        schedules,
        late,
        still_late,
        "analyze",
    ];
    for statement in statements {
        store.db().execute_unprepared(statement).await.unwrap();
    }
    explain(&store).await;
    let store = open(&database).await;

    let resolved = store
        .look_for_alerts(&mut AlertWalk::default())
        .await
        .unwrap();
    assert_eq!(resolved.len(), ORGS as usize - 7);
    for plan in &notices.plans() {
        assert!(rows_read(plan) <= 1_000, "{plan}");
    }
}

#[tokio::test]
async fn hints_are_topped_up_without_a_walk_through_all_lanes() {
    let notices = listen();
    let database = TestDatabase::fresh().await;
    let store = open(&database).await;
    let jobs =
        "insert into jobs (id, org_id, connection_id, kind, queue, lane, args, state, run_at,
             max_attempts, timeout_s, requested_by, created_at)
         select gen_random_uuid(), org_id, id, 'noop', 'sync', 'lane-' || id, '{}', 'queued',
             now() - interval '1 minute', 3, 60, 'test', now() from connections";
    for statement in [&orgs(), &connections(), jobs, "analyze"] {
        store.db().execute_unprepared(statement).await.unwrap();
    }
    explain(&store).await;
    let store = open(&database).await;

    let due = store
        .jobs()
        .due(Queue::Sync, 500, 2_000, OrgId::DEPLOYMENT)
        .await
        .unwrap();
    assert_eq!(due.len(), 2_000);
    let plans = notices.plans();
    assert!(plans.iter().any(|plan| plan.contains("jobs_due_lanes")));
    // Twenty of each org, where 60,000 wait.
    let most = u64::from(ORGS) * 20;
    for plan in &plans {
        assert!(rows_read(plan) <= most, "{plan}");
    }
}
