//! The clock's side: due schedules make their jobs, and are due again.
//!
//! Any number of schedulers do it at once. Each takes its own rows (`for no key update
//! skip locked`; on SQLite there is one process), and jobs, ticks and next times are one
//! transaction: a scheduler that dies leaves everything as it was. Schedules before jobs, as
//! everywhere (`docs/job-states.md`), and no connection after them. The key (schedule,
//! tick) is the wall behind it.
//!
//! The pattern for whatever is due by the clock: a partial index on the due time, rows by
//! that index and nothing else, a batch a transaction, and a duty that begins again at
//! once after a full batch.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect, Statement, Value,
    sea_query::{LockBehavior, LockType},
};
use uuid::Uuid;

use super::Standing;
use crate::{
    entities::{
        schedule::{ActiveModel, Column, Entity, Model},
        schedule_tick,
    },
    ids::{JobId, OrgId, ScheduleId},
    job::{Enqueued, JobState, NewJob, Queue},
    schedule::{TickOutcome, blocked, job_of, plan},
    store::{Store, StoreError, jobs::Due},
};

/// What one batch came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Due schedules that were dealt with. As many as asked for: there may be more.
    pub schedules: u64,
    /// New jobs, for hints.
    pub jobs: Vec<(Queue, Due)>,
}

/// What became of one tick.
#[derive(Debug, Clone)]
struct Tick {
    schedule: ScheduleId,
    tick: DateTime<Utc>,
    outcome: TickOutcome,
    job: Option<JobId>,
}

/// Where a schedule goes on.
#[derive(Debug)]
struct Next {
    schedule: ScheduleId,
    tick: Option<DateTime<Utc>>,
    due: Option<DateTime<Utc>>,
}

/// What a batch will do, before its jobs are enqueued.
#[derive(Debug, Default)]
struct Batch {
    /// Ticks with a job, in the order of `jobs`.
    running: Vec<(ScheduleId, DateTime<Utc>)>,
    jobs: Vec<NewJob>,
    /// Ticks without one.
    idle: Vec<Tick>,
    next: Vec<Next>,
}

impl Store {
    /// Deals with at most `limit` due schedules in one transaction.
    ///
    /// # Errors
    /// The database; nothing was done then.
    pub async fn tick_schedules(&self, limit: u64) -> Result<Ticked, StoreError> {
        let now = self.jobs().now().await?;
        // Most looks find nothing; on SQLite a transaction would hold up every writer.
        if !self.is_any_due(now).await? {
            return Ok(Ticked::default());
        }
        let tx = self.begin().await?;
        let due = self.due_schedules(&tx, now, limit).await?;
        if due.is_empty() {
            return Ok(Ticked::default());
        }
        let schedules = due.len() as u64;
        let mut batch = Batch::default();
        for (schedule, standing) in due {
            batch.add(&schedule, &standing, now);
        }
        let Batch {
            running,
            jobs,
            idle: mut ticks,
            next,
        } = batch;
        let enqueued = self.jobs().enqueue(&tx, jobs).await?;
        let mut due_jobs = Vec::new();
        for ((schedule, tick), enqueued) in running.into_iter().zip(&enqueued) {
            let job = enqueued.job();
            let outcome = match enqueued {
                Enqueued::New(_) => TickOutcome::Made,
                Enqueued::Waiting(_) => TickOutcome::Merged,
                Enqueued::Again(_) => TickOutcome::Again,
            };
            if outcome == TickOutcome::Made && job.state == JobState::Queued {
                let turn = job.org_id.unwrap_or(OrgId::DEPLOYMENT);
                due_jobs.push((job.queue, Due { job: job.id, turn }));
            }
            ticks.push(Tick {
                schedule,
                tick,
                outcome,
                job: Some(job.id),
            });
        }
        match self.db().get_database_backend() {
            DbBackend::Sqlite => write_each(&tx, &ticks, &next, now).await?,
            _ => write_all(&tx, &ticks, &next, now).await?,
        }
        tx.commit().await?;
        Ok(Ticked {
            schedules,
            jobs: due_jobs,
        })
    }

    async fn is_any_due(&self, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let first: Option<ScheduleId> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(due_by(now))
            .order_by_asc(Column::NextAt)
            .limit(1)
            .into_tuple()
            .one(self.db())
            .await?;
        Ok(first.is_some())
    }

    /// Due rows that no other scheduler is dealing with, the longest due first.
    async fn due_schedules(
        &self,
        tx: &DatabaseTransaction,
        now: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<(Model, Standing)>, StoreError> {
        let schedules = Entity::find()
            .filter(due_by(now))
            .order_by_asc(Column::NextAt)
            .limit(limit)
            .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
            .all(tx)
            .await?;
        if schedules.is_empty() {
            return Ok(Vec::new());
        }
        let ids = schedules.iter().map(|row| row.connection_id);
        let standings = self.standings(tx, ids).await?;
        Ok(schedules
            .into_iter()
            .filter_map(|schedule| {
                // A foreign key keeps the connection there.
                let standing = standings.get(&schedule.connection_id)?.clone();
                Some((schedule, standing))
            })
            .collect())
    }
}

/// The words of the index of due times.
fn due_by(now: DateTime<Utc>) -> Condition {
    Condition::all()
        .add(Column::PausedAt.is_null())
        .add(Column::NextAt.is_not_null())
        .add(Column::NextAt.lte(now))
}

impl Batch {
    fn add(&mut self, schedule: &Model, standing: &Standing, now: DateTime<Utc>) {
        let id = schedule.id;
        let (Some(timing), Some(tick)) = (schedule.timing(), schedule.tick) else {
            tracing::error!(schedule = %id, "its timing cannot be read by this version; it waits for a change");
            self.next.push(Next {
                schedule: id,
                tick: None,
                due: None,
            });
            return;
        };
        let jitter = schedule.jitter(&timing);
        let plan = plan(&timing, schedule.misfire, tick, jitter, now);
        self.next.push(Next {
            schedule: id,
            tick: plan.next,
            due: plan.next.map(|tick| tick + jitter),
        });
        let idle = |tick, outcome| Tick {
            schedule: id,
            tick,
            outcome,
            job: None,
        };
        self.idle
            .extend(plan.skipped.map(|tick| idle(tick, TickOutcome::Skipped)));
        if blocked(schedule, standing.status, &standing.capabilities_off).is_some() {
            let newest = plan.run.last().copied();
            self.idle
                .extend(newest.map(|tick| idle(tick, TickOutcome::Held)));
            return;
        }
        let own = schedule.has_own_jobs(standing.status);
        for tick in plan.run {
            self.running.push((id, tick));
            self.jobs
                .push(job_of(schedule, tick, own, "schedule".to_owned()));
        }
    }
}

const INSERT_TICKS: &str = "
    insert into schedule_ticks (schedule_id, tick, outcome, job_id, at)
    select new.schedule_id, new.tick, new.outcome, nullif(new.job_id, '00000000-0000-0000-0000-000000000000'), $5
    from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::uuid[]) as new (schedule_id, tick, outcome, job_id)";

/// The newest tick of each schedule is its last one. No next time travels as 1970.
const MOVE_ON: &str = "
    update schedules
    set tick = nullif(new.tick, 'epoch'), next_at = nullif(new.due, 'epoch'),
        last_tick = coalesce(done.tick, last_tick), last_outcome = coalesce(done.outcome, last_outcome),
        last_job_id = coalesce(nullif(done.job_id, '00000000-0000-0000-0000-000000000000'), last_job_id),
        last_at = case when done.tick is null then last_at else $8 end
    from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as new (id, tick, due)
    left join (
        select distinct on (id) id, tick, outcome, job_id
        from unnest($4::uuid[], $5::timestamptz[], $6::text[], $7::uuid[]) as ticked (id, tick, outcome, job_id)
        order by id, tick desc
    ) done on done.id = new.id
    where schedules.id = any($1) and schedules.id = new.id";

/// PostgreSQL: one statement for all ticks, one for all schedules.
async fn write_all(
    tx: &DatabaseTransaction,
    ticks: &[Tick],
    next: &[Next],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let run = |sql: &str, values: Vec<Value>| {
        Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
    };
    let of_ticks = || -> [Value; 4] {
        [
            uuids(ticks.iter().map(|tick| tick.schedule.0)),
            times(ticks.iter().map(|tick| Some(tick.tick))),
            ticks
                .iter()
                .map(|tick| sea_orm::ActiveEnum::to_value(&tick.outcome))
                .collect::<Vec<String>>()
                .into(),
            uuids(
                ticks
                    .iter()
                    .map(|tick| tick.job.map_or(Uuid::nil(), |job| job.0)),
            ),
        ]
    };
    if !ticks.is_empty() {
        let values = of_ticks().into_iter().chain([now.into()]).collect();
        tx.execute_raw(run(INSERT_TICKS, values)).await?;
    }
    let values = [
        uuids(next.iter().map(|next| next.schedule.0)),
        times(next.iter().map(|next| next.tick)),
        times(next.iter().map(|next| next.due)),
    ];
    let values = values
        .into_iter()
        .chain(of_ticks())
        .chain([now.into()])
        .collect();
    tx.execute_raw(run(MOVE_ON, values)).await?;
    Ok(())
}

fn uuids(ids: impl Iterator<Item = Uuid>) -> Value {
    ids.collect::<Vec<Uuid>>().into()
}

/// Arrays of optional values cannot be bound.
fn times(times: impl Iterator<Item = Option<DateTime<Utc>>>) -> Value {
    times
        .map(|time| time.unwrap_or(DateTime::UNIX_EPOCH))
        .collect::<Vec<_>>()
        .into()
}

/// SQLite: a loop of small statements; there is no network between.
async fn write_each(
    tx: &DatabaseTransaction,
    ticks: &[Tick],
    next: &[Next],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    use sea_orm::ActiveValue::{NotSet, Set};
    for tick in ticks {
        schedule_tick::Entity::insert(schedule_tick::ActiveModel {
            schedule_id: Set(tick.schedule),
            tick: Set(tick.tick),
            outcome: Set(tick.outcome),
            job_id: Set(tick.job),
            at: Set(now),
        })
        .exec_without_returning(tx)
        .await?;
    }
    for next in next {
        let done = ticks
            .iter()
            .filter(|tick| tick.schedule == next.schedule)
            .max_by_key(|tick| tick.tick);
        let change = ActiveModel {
            id: Set(next.schedule),
            tick: Set(next.tick),
            next_at: Set(next.due),
            last_tick: done.map_or(NotSet, |tick| Set(Some(tick.tick))),
            last_outcome: done.map_or(NotSet, |tick| Set(Some(tick.outcome))),
            last_job_id: done
                .and_then(|tick| tick.job)
                .map_or(NotSet, |job| Set(Some(job))),
            last_at: done.map_or(NotSet, |_| Set(Some(now))),
            ..Default::default()
        };
        Entity::update_many()
            .set(change)
            .filter(Column::Id.eq(next.schedule))
            .exec(tx)
            .await?;
    }
    Ok(())
}
