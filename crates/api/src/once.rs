//! `Idempotency-Key` in the transaction of the work.

use patchbay_core::{
    ids::{AlertId, ConnectionId, ConsentId, EventId, JobId, ScheduleId},
    store::idempotency::Repeat,
};
use sea_orm::DatabaseTransaction;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::{
    access::Caller,
    extract::Once,
    problem::{Kind, Problem},
    state::{Announcement, Api},
};

/// The header, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "only its schema is used; the header is read where the body is"
)]
pub struct Header {
    /// Makes a repeat of the request harmless for 24 hours: it gets what the first one made.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        min_length = 1,
        max_length = 255
    )]
    idempotency_key: Option<String>,
}

/// What a request made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// Jobs.
    Jobs(Vec<JobId>),
    /// A connection and the jobs for it.
    Connection(ConnectionId, Vec<JobId>),
    /// A consent.
    Consent(ConsentId),
    /// A schedule.
    Schedule(ScheduleId),
    /// A word about an alert.
    Alert(AlertId),
    /// What the line of the activity log says.
    Told(EventId),
}

impl Made {
    /// The jobs among it.
    pub fn into_jobs(self) -> Vec<JobId> {
        match self {
            Self::Jobs(jobs) | Self::Connection(_, jobs) => jobs,
            Self::Consent(_) | Self::Schedule(_) | Self::Alert(_) | Self::Told(_) => Vec::new(),
        }
    }
}

/// A request that is done at most once.
#[derive(Debug)]
pub enum Turn<'a> {
    /// The work is to be done.
    First(Work<'a>),
    /// It was done before, and made this.
    Again(Made),
}

/// Work to be done in one transaction. Without its [`end`](Work::end) nothing of it stays.
#[derive(Debug)]
pub struct Work<'a> {
    /// Its transaction.
    pub tx: DatabaseTransaction,
    /// Whom to tell, once it is committed.
    pub announcement: Announcement,
    api: &'a Api,
    caller: &'a Caller,
    once: &'a Once,
}

impl Work<'_> {
    /// Says what the work made, commits, and tells whom it concerns.
    pub async fn end(self, done: Made) -> Result<Made, Problem> {
        made(self.api, &self.tx, self.caller, self.once, &done).await?;
        self.tx.commit().await?;
        self.api.announce(self.announcement);
        Ok(done)
    }
}

/// Begins what a request asks for, unless it was done before.
pub async fn begin<'a>(
    api: &'a Api,
    caller: &'a Caller,
    once: &'a Once,
) -> Result<Turn<'a>, Problem> {
    let tx = api.store.begin().await?;
    Ok(match take(api, &tx, caller, once).await? {
        Some(made) => Turn::Again(made),
        None => Turn::First(Work {
            tx,
            announcement: Announcement::default(),
            api,
            caller,
            once,
        }),
    })
}

/// Takes the key. `None`: do the work, then say [`made`]. `Some`: it was done before.
pub async fn take(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    once: &Once,
) -> Result<Option<Made>, Problem> {
    let Some(asked) = &once.0 else {
        return Ok(None);
    };
    match api.store.idempotency_take(tx, caller.org, asked).await? {
        Repeat::First => Ok(None),
        Repeat::OtherBody => Err(Problem::new(
            Kind::IdempotencyKeyReused,
            "This Idempotency-Key was used in the last 24 hours for this route with another body, or by another API key. \
             Nothing was changed. Use a new key for a new request.",
        )),
        Repeat::Again(kind, ids) => match (kind.as_str(), ids.split_first()) {
            ("connection", Some((first, rest))) => Ok(Some(Made::Connection(
                ConnectionId(*first),
                rest.iter().copied().map(JobId).collect(),
            ))),
            ("consent", Some((id, _))) => Ok(Some(Made::Consent(ConsentId(*id)))),
            ("event", Some((id, _))) => Ok(Some(Made::Told(EventId(*id)))),
            ("alert", Some((id, _))) => Ok(Some(Made::Alert(AlertId(*id)))),
            ("schedule", Some((id, _))) => Ok(Some(Made::Schedule(ScheduleId(*id)))),
            _ => Ok(Some(Made::Jobs(ids.into_iter().map(JobId).collect()))),
        },
    }
}

/// Says what the work made, in its transaction.
pub async fn made(
    api: &Api,
    tx: &DatabaseTransaction,
    caller: &Caller,
    once: &Once,
    made: &Made,
) -> Result<(), Problem> {
    let Some(asked) = &once.0 else { return Ok(()) };
    let (kind, ids): (&str, Vec<Uuid>) = match made {
        Made::Jobs(jobs) => ("jobs", jobs.iter().map(|job| job.0).collect()),
        Made::Consent(consent) => ("consent", vec![consent.0]),
        Made::Schedule(schedule) => ("schedule", vec![schedule.0]),
        Made::Alert(alert) => ("alert", vec![alert.0]),
        Made::Told(event) => ("event", vec![event.0]),
        Made::Connection(connection, jobs) => (
            "connection",
            std::iter::once(connection.0)
                .chain(jobs.iter().map(|job| job.0))
                .collect(),
        ),
    };
    Ok(api
        .store
        .idempotency_made(tx, caller.org, asked, kind, &ids)
        .await?)
}
