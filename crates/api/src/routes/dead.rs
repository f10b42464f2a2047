//! The dead-letter queue: what failed alike, and what a person can do with many jobs at once.

use std::time::Duration;

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use patchbay_core::{
    events::EventKind,
    ids::{JobId, OrgId},
    store::{
        dead::{DeadGroup, RetryPreview},
        events::NewEvent,
    },
};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use super::jobs::JobView;
use crate::{
    access::Caller,
    extract::{Body, Faults, Query},
    once::{self, Made},
    pages,
    problem::{FieldError, Kind, Problem, ProblemBody},
    state::Api,
};

/// Jobs a second, unless the request says otherwise.
const RATE: f64 = 10.0;
/// How far ahead a retry may begin.
const AHEAD: TimeDelta = TimeDelta::days(7);
/// Times that the work is begun anew because a request of the same work came in between.
const TRIES: u32 = 3;

/// The dead-letter queue in groups.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadJobs {
    /// What failed alike; the group that grew last comes first.
    groups: Vec<DeadGroupView>,
    /// Groups in all.
    total_groups: i64,
    /// Jobs in all.
    total_jobs: i64,
}

/// Dead jobs that failed alike: same kind, same provider, same failure, whatever ids, numbers
/// and times its words carry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadGroup)]
struct DeadGroupView {
    /// Its name: kind of job, provider, class of failure, fingerprint of its words.
    /// `GET jobs?group=` lists its jobs.
    group: String,
    /// How many.
    count: i64,
    /// When the first of them died.
    first_at: DateTime<Utc>,
    /// When the last of them died.
    last_at: DateTime<Utc>,
    /// The newest of them.
    example: Option<JobView>,
}

/// How many groups to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GroupsQuery {
    /// 1 to 200, 50 if not said.
    limit: Option<u64>,
}

/// Whether only to look.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DryRunQuery {
    /// `true`: says what would be done, and does nothing.
    dry_run: Option<bool>,
}

/// Which dead jobs go back to work, and how fast.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryDead {
    /// Those of this group.
    #[schema(min_length = 1, max_length = 200)]
    group: Option<String>,
    /// `true`: all of them.
    all: Option<bool>,
    /// Jobs a second, 10 if not said, so that a provider that has just come back is not asked
    /// by all of them at once.
    #[schema(minimum = 0.01, maximum = 1000)]
    rate: Option<f64>,
    /// When the first of them begins, if not now; at most a week ahead.
    start_at: Option<DateTime<Utc>>,
}

/// Which dead jobs leave the dead-letter queue.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardDead {
    /// Those of this group.
    #[schema(min_length = 1, max_length = 200)]
    group: Option<String>,
    /// `true`: all of them.
    all: Option<bool>,
}

/// What a retry of many came to, or would come to.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetriedDead {
    /// Nothing was done: these are the numbers of what would be.
    dry_run: bool,
    /// Dead jobs that were asked for.
    matched: i64,
    /// Those that go back to work.
    retried: i64,
    /// Those that stay where they are, and why.
    skipped: Skipped,
    /// Those that can go back too, beyond the 10,000 of one request: ask again, with the
    /// `start_at` that `ends_at` says.
    left: i64,
    /// When the next one after them would begin.
    ends_at: Option<DateTime<Utc>>,
}

/// Dead jobs that a retry leaves where they are.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
struct Skipped {
    /// The secret that they were asked with is no longer kept.
    secret_gone: i64,
    /// The same work waits or runs as another job already.
    already_open: i64,
    /// The same work was asked for by a newer dead job, which goes instead.
    superseded: i64,
}

/// What a discard of many came to, or would come to.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiscardedDead {
    /// Nothing was done: these are the numbers of what would be.
    dry_run: bool,
    /// Dead jobs that were asked for.
    matched: i64,
    /// Those that left the dead-letter queue; they stay readable.
    discarded: i64,
    /// Those beyond the 10,000 of one request: ask again.
    left: i64,
}

/// The dead-letter queue in groups: jobs that failed or were quarantined, and were not discarded.
#[utoipa::path(
    get, path = "/dead-jobs", tag = "retry policy", params(GroupsQuery),
    responses((status = 200, body = DeadJobs), (status = 400, body = ProblemBody)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<GroupsQuery>,
) -> Result<Json<DeadJobs>, Problem> {
    let limit = pages::limit(query.limit)?;
    let dead = api.store.dead_groups(caller.org, limit).await?;
    let example = |group: &DeadGroup| group.example.parse::<JobId>().ok();
    let ids: Vec<JobId> = dead.groups.iter().filter_map(example).collect();
    let db = api.store.db();
    let examples = api.store.jobs_by_id(db, caller.org, &ids).await?;
    let view = |group: DeadGroup| DeadGroupView {
        example: examples
            .iter()
            .find(|job| Some(job.id) == example(&group))
            .map(|job| JobView::of(&api.providers, job.clone())),
        group: group.dead_group,
        count: group.jobs,
        first_at: group.first_at,
        last_at: group.last_at,
    };
    Ok(Json(DeadJobs {
        groups: dead.groups.into_iter().map(view).collect(),
        total_groups: dead.total_groups,
        total_jobs: dead.total_jobs,
    }))
}

/// Sends a group of dead jobs, or all of them, back to work: same ids, counters reset, oldest
/// first, at most 10,000 in one request. Jobs whose secret is no longer kept are skipped, and of
/// jobs for the same work the newest goes.
#[utoipa::path(
    post, path = "/dead-jobs/retry", tag = "retry policy", params(DryRunQuery, once::Header),
    request_body = RetryDead,
    responses(
        (status = 200, body = RetriedDead),
        (status = 409, description = "The same work is asked for all the time; ask again", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn retry(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<DryRunQuery>,
    Body {
        value: body,
        faults,
        once,
    }: Body<RetryDead>,
) -> Result<Json<RetriedDead>, Problem> {
    let now = api.store.jobs().now().await?;
    let mut errors = wrong_choice(body.group.as_deref(), body.all, &faults);
    let begins = body.start_at.map_or(now, |at| at.max(now));
    if begins > now + AHEAD {
        errors.push(FieldError::at("/start_at", "must be at most a week ahead"));
    }
    faults.with(if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    })?;
    let (org, group) = (caller.org, body.group.as_deref());
    if query.dry_run.unwrap_or(false) {
        let db = api.store.db();
        let preview = api.store.preview_dead_retry(db, org, group).await?;
        return Ok(Json(RetriedDead {
            dry_run: true,
            retried: preview.retryable,
            ..RetriedDead::of(preview)
        }));
    }
    let wish = Wish {
        org,
        group,
        delay: (begins - now).to_std().unwrap_or_default(),
        apart: Duration::try_from_secs_f64(1.0 / body.rate.unwrap_or(RATE)).unwrap_or_default(),
        now,
    };
    for _ in 0..TRIES {
        let tx = api.store.begin().await?;
        if let Some(made) = once::take(&api, &tx, &caller, &once).await? {
            return Ok(Json(told(&api, &tx, org, &made).await?));
        }
        // A twin came in between: only a fresh transaction can tell what is retryable now.
        let Some(done) = wish.grant(&api, &tx).await? else {
            tx.rollback().await?;
            continue;
        };
        let event = (done.retried > 0).then(|| {
            NewEvent::new(org, EventKind::DeadJobsRetried, caller.actor()).data(data(&done, group))
        });
        tell(&api, &tx, &caller, &once, event).await?;
        tx.commit().await?;
        return Ok(Json(done));
    }
    Err(Problem::new(
        Kind::JobState,
        "The same work was asked for in the same moment, several times over. Nothing was changed; ask again.",
    ))
}

/// Takes a group of dead jobs, or all of them, out of the dead-letter queue, at most 10,000 in one
/// request. They stay readable until their retention ends.
#[utoipa::path(
    post, path = "/dead-jobs/discard", tag = "retry policy", params(DryRunQuery, once::Header),
    request_body = DiscardDead,
    responses(
        (status = 200, body = DiscardedDead),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn discard(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<DryRunQuery>,
    Body {
        value: body,
        faults,
        once,
    }: Body<DiscardDead>,
) -> Result<Json<DiscardedDead>, Problem> {
    let errors = wrong_choice(body.group.as_deref(), body.all, &faults);
    faults.with(if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    })?;
    let (org, group) = (caller.org, body.group.as_deref());
    if query.dry_run.unwrap_or(false) {
        let matched = api.store.count_dead(api.store.db(), org, group).await?;
        return Ok(Json(DiscardedDead {
            dry_run: true,
            matched,
            discarded: matched,
            left: 0,
        }));
    }
    let tx = api.store.begin().await?;
    if let Some(made) = once::take(&api, &tx, &caller, &once).await? {
        return Ok(Json(told(&api, &tx, org, &made).await?));
    }
    let matched = api.store.count_dead(&tx, org, group).await?;
    let discarded = api.store.discard_dead(&tx, org, group).await?;
    let discarded = i64::try_from(discarded).unwrap_or(i64::MAX);
    let done = DiscardedDead {
        dry_run: false,
        matched,
        discarded,
        left: (matched - discarded).max(0),
    };
    let event = (discarded > 0).then(|| {
        NewEvent::new(org, EventKind::DeadJobsDiscarded, caller.actor()).data(data(&done, group))
    });
    tell(&api, &tx, &caller, &once, event).await?;
    tx.commit().await?;
    Ok(Json(done))
}

impl RetriedDead {
    fn of(preview: RetryPreview) -> Self {
        Self {
            matched: preview.matched,
            skipped: Skipped {
                secret_gone: preview.secret_gone,
                already_open: preview.already_open,
                superseded: preview.superseded,
            },
            ..Self::default()
        }
    }
}

struct Wish<'a> {
    org: OrgId,
    group: Option<&'a str>,
    delay: Duration,
    apart: Duration,
    now: DateTime<Utc>,
}

impl Wish<'_> {
    /// `None`: the same work was asked for in between.
    async fn grant(
        &self,
        api: &Api,
        tx: &DatabaseTransaction,
    ) -> Result<Option<RetriedDead>, Problem> {
        let Self {
            org, group, delay, ..
        } = *self;
        let preview = api.store.preview_dead_retry(tx, org, group).await?;
        let moved = api
            .store
            .retry_dead(tx, org, group, delay, self.apart)
            .await;
        let (moved, last) = match moved {
            Err(error) if error.is_a_twin() => return Ok(None),
            moved => moved?,
        };
        let retried = i64::try_from(moved).unwrap_or(i64::MAX);
        let ends = TimeDelta::from_std(last + self.apart).unwrap_or_default();
        Ok(Some(RetriedDead {
            retried,
            left: (preview.retryable - retried).max(0),
            ends_at: (retried > 0).then(|| self.now + ends),
            ..RetriedDead::of(preview)
        }))
    }
}

/// One of the two, so that a forgotten group is not all of them.
fn wrong_choice(group: Option<&str>, all: Option<bool>, faults: &Faults) -> Vec<FieldError> {
    if faults.touch("/group") || faults.touch("/all") {
        return Vec::new();
    }
    let message = match (group, all.unwrap_or(false)) {
        (Some(_), false) | (None, true) => return Vec::new(),
        (Some(_), true) => "goes not together with `all`; send one or the other",
        (None, false) => "is required, or `\"all\": true`",
    };
    vec![FieldError::at("/group", message)]
}

/// The event's words are also what a repeated request is answered.
fn data(done: &impl Serialize, group: Option<&str>) -> serde_json::Value {
    serde_json::json!({ "group": group, "outcome": done })
}

async fn tell(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    once: &crate::extract::Once,
    event: Option<NewEvent>,
) -> Result<(), Problem> {
    let made = match event {
        Some(event) => Made::Told(api.store.record_event(tx, event).await?),
        None => Made::Jobs(Vec::new()),
    };
    once::made(api, tx, caller, once, &made).await
}

/// What the first request did; nothing, where it found nothing to do.
async fn told<T: DeserializeOwned + Default>(
    api: &Api,
    tx: &DatabaseTransaction,
    org: OrgId,
    made: &Made,
) -> Result<T, Problem> {
    let Made::Told(event) = made else {
        return Ok(T::default());
    };
    let event = api.store.event(tx, org, *event).await?;
    let outcome = event.map(|event| event.data["outcome"].clone());
    Ok(outcome
        .and_then(|outcome| serde_json::from_value(outcome).ok())
        .unwrap_or_default())
}
