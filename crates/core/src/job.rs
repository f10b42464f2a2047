//! The words of the job protocol: kinds, queues, states, what a body may
//! answer. What the database does with them is in [`crate::store::jobs`];
//! the state machine on one page is `docs/job-states.md`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    failure::Failure,
    ids::{ConnectionId, JobId, OrgId},
};

/// Everything the product does in the background. The worker has a file for each.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum JobKind {
    /// Tries a new or changed credential and config; on success they become current.
    ConnectionTest,
    /// Asks the provider whether the present credential works.
    HealthCheck,
    /// Asks many connections of one provider the same.
    HealthBatch,
    /// Pulls one stream of a connection.
    Sync,
    /// Does one thing at the provider that a person or a caller asked for.
    Action,
    /// Refreshes a grant ahead of its end.
    CredentialRefresh,
    /// Tells the provider that a grant has ended.
    CredentialRevoke,
    /// Exchanges the code of a consent for a grant and makes it the connection's credential.
    ConsentExchange,
    /// Stores an org's own OAuth client, whose secret came sealed.
    OauthClientSet,
    /// Stores what messages to a webhook that tells of alerts are signed with, which came sealed.
    AlertWebhookSet,
    /// Tells a webhook of an alert.
    AlertDelivery,
    /// Does nothing for `args.sleep_ms`; benchmarks and fault tests run it.
    Noop,
}

/// Which workers serve a job.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Queue {
    /// What a person waits for: tests, exchanges.
    Interactive,
    /// Syncs.
    Sync,
    /// Outbound webhooks.
    Webhook,
    /// What the clock asks for: health, refresh, retention.
    Maintenance,
}

impl Queue {
    /// Every queue, in order of urgency.
    pub const ALL: [Self; 4] = [
        Self::Interactive,
        Self::Sync,
        Self::Webhook,
        Self::Maintenance,
    ];

    /// The name used in the database, in Redis keys and in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Sync => "sync",
            Self::Webhook => "webhook",
            Self::Maintenance => "maintenance",
        }
    }
}

/// Where a job stands. Legal moves: `docs/job-states.md`; the database refuses all others.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum JobState {
    /// Waits for `run_at` and a free slot.
    Queued,
    /// Waits for a working credential or for the connection to be enabled.
    Parked,
    /// A live process holds its lease.
    Running,
    /// Done.
    Succeeded,
    /// Given up after its attempts; in the dead-letter queue until discarded.
    Failed,
    /// Stopped by a person.
    Cancelled,
    /// Its process died under it three times; in the dead-letter queue until discarded.
    Quarantined,
}

impl JobState {
    /// Whether no further move happens without a person.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::Queued | Self::Parked | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Quarantined => true,
        }
    }
}

/// Attempts a job has before it fails, unless the org's policy says otherwise:
/// the first and three retries (docs/job-states.md, step 9).
pub const DEFAULT_MAX_ATTEMPTS: i32 = 4;

/// Deaths of its process that a job may be charged with before it is quarantined.
pub const CRASHES_TO_QUARANTINE: i32 = 3;

/// Deaths after which a job is run alone in a process, so that the last one is certainly its
/// own. Statements and an index say the number as such.
pub const CRASHES_TO_RUN_ALONE: i32 = 2;

/// A job to be enqueued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Given where something is bound to the id before the row exists (sealed
    /// arguments are); `None`: the enqueue makes one.
    pub id: Option<JobId>,
    /// `None`: a job of the deployment.
    pub org: Option<OrgId>,
    /// The connection it works on.
    pub connection: Option<ConnectionId>,
    /// What to do.
    pub kind: JobKind,
    /// Who serves it.
    pub queue: Queue,
    /// At most one job of a lane runs at a time, oldest first. Start it with an
    /// id of ours so that no two orgs share one. Order holds within a queue.
    pub lane: Option<String>,
    /// Arguments, never secret.
    pub args: Value,
    /// Secret arguments, sealed to the deployment's public key.
    pub sealed: Option<SealedArgs>,
    /// Not before this much time has passed.
    pub delay: Duration,
    /// Attempts before it fails.
    pub max_attempts: i32,
    /// A body that runs longer is stopped and the attempt counts as failed.
    pub timeout: Duration,
    /// Unique among queued and parked jobs: a second request gets the first job.
    pub dedupe_key: Option<String>,
    /// W3C `traceparent` of the request that asked for it.
    pub trace_context: Option<String>,
    /// Who asked: `api_key:<id>`, `schedule`, `system`.
    pub requested_by: String,
}

impl NewJob {
    /// A job with the usual policy: now, four attempts, one hour at most.
    #[must_use]
    pub fn new(
        org: Option<OrgId>,
        kind: JobKind,
        queue: Queue,
        requested_by: impl Into<String>,
    ) -> Self {
        Self {
            id: None,
            org,
            connection: None,
            kind,
            queue,
            lane: None,
            args: Value::Object(serde_json::Map::new()),
            sealed: None,
            delay: Duration::ZERO,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            timeout: Duration::from_secs(3600),
            dedupe_key: None,
            trace_context: None,
            requested_by: requested_by.into(),
        }
    }
}

/// Secret arguments of a job: HPKE ciphertext and the id of the key it is sealed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedArgs {
    /// Ciphertext with its encapsulated key.
    pub bytes: Vec<u8>,
    /// Id of the public key.
    pub key_id: String,
}

/// What an enqueue came to. The row is committed with the caller's transaction.
#[derive(Debug, Clone)]
pub enum Enqueued {
    /// A new row.
    New(crate::entities::job::Model),
    /// The same work already waits; this is its job.
    Waiting(crate::entities::job::Model),
    /// The same work runs at this moment; it will run once more when it ends.
    Again(crate::entities::job::Model),
}

impl Enqueued {
    /// The job that does the work.
    #[must_use]
    pub fn job(&self) -> &crate::entities::job::Model {
        match self {
            Self::New(job) | Self::Waiting(job) | Self::Again(job) => job,
        }
    }

    /// The job that does the work.
    #[must_use]
    pub fn into_job(self) -> crate::entities::job::Model {
        match self {
            Self::New(job) | Self::Waiting(job) | Self::Again(job) => job,
        }
    }
}

/// Proof of who runs a job: valid while the row still says `running` at this epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The row's `lease_epoch` when it was claimed.
    pub epoch: i64,
}

/// What a job body returns when it has not ended with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobError {
    /// What the protocol does next.
    pub next: Next,
    /// What a person reads.
    pub failure: Failure,
}

/// What the protocol does with a job whose body ended without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again; burns an attempt. `after` overrides the policy's delay (`Retry-After`).
    Retry {
        /// Wait at least this long.
        after: Option<Duration>,
    },
    /// Give up now; burns an attempt.
    Fail,
    /// Not yet; burns no attempt.
    Snooze {
        /// Due again at this time.
        until: DateTime<Utc>,
    },
    /// Wait for a working credential; burns no attempt.
    Park {
        /// Version of the credential that was refused; the job is parked only if
        /// it is still the current one, else queued at once.
        credential_version: Option<i64>,
    },
    /// The process is stopping: back to the queue, burns no attempt.
    Release,
}

/// One settled job of a batch: how the lease ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// Whose lease.
    pub lease: Lease,
    /// What becomes of the job.
    pub end: Settle,
}

/// What becomes of a running job. Attempts are already counted: `crate::retry` decides.
#[derive(Debug, Clone, PartialEq)]
pub enum Settle {
    /// `succeeded`; the sealed arguments are emptied.
    Succeed {
        /// Shown to the caller.
        result: Value,
    },
    /// `queued` with one attempt more.
    Retry {
        /// Due after this delay, by the database's clock.
        delay: Duration,
        /// Why.
        failure: Failure,
    },
    /// `failed` with one attempt more.
    Fail {
        /// Why.
        failure: Failure,
    },
    /// `queued`, attempts as they were.
    Snooze {
        /// Due after this delay.
        delay: Duration,
        /// Why.
        failure: Failure,
    },
    /// `parked`, or `queued` where the credential has been replaced meanwhile.
    Park {
        /// Version that was refused.
        credential_version: Option<i64>,
        /// Why.
        failure: Failure,
    },
    /// `queued` at once, attempts as they were.
    Release,
}
