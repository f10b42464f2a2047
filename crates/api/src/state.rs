//! What every handler can reach.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use patchbay_core::{
    entities::job,
    hints::{Hints, HintsAway, Signal},
    ids::{AlertId, ConnectionId, JobId, OrgId},
    job::{Enqueued, JobState, NewJob, Queue},
    outbound::AddressPolicy,
    store::{Store, jobs::Due},
    vault::SealingPublicKey,
};
use patchbay_providers::Registry;
use sea_orm::DatabaseTransaction;
use tokio_util::sync::CancellationToken;

use crate::{consent_settings::ConsentSettings, problem::Problem, progress::hub::Hub};

/// What an API process is given. No key that opens a credential is among it.
#[derive(Debug, Clone)]
pub struct ApiDeps {
    /// The database.
    pub store: Store,
    /// Where hints go after a commit, and signals come from.
    pub hints: Arc<dyn Hints>,
    /// Seals credentials to the workers.
    pub sealing: SealingPublicKey,
    /// The catalogue. Only its manifests are read here; no provider is called.
    pub providers: Arc<Registry>,
    /// What consents need of the settings.
    pub consent: Arc<ConsentSettings>,
    /// Where workers may send. Nothing is sent from here: an address that leads inside is
    /// refused when it is given.
    pub addresses: AddressPolicy,
}

/// The state of the router. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    pub(crate) store: Store,
    pub(crate) hints: Arc<dyn Hints>,
    pub(crate) sealing: Arc<SealingPublicKey>,
    pub(crate) hub: Hub,
    pub(crate) providers: Arc<Registry>,
    pub(crate) consent: Arc<ConsentSettings>,
    pub(crate) addresses: Arc<AddressPolicy>,
    /// The OpenAPI document as it is served.
    pub(crate) document: Bytes,
    /// Ends progress streams and waits when the process stops.
    pub(crate) shutdown: CancellationToken,
}

/// A hint is worth no more waiting than this: the schedulers find the row within 200 ms.
const HINT_PATIENCE: Duration = Duration::from_secs(1);

impl Api {
    pub(crate) fn new(deps: ApiDeps, document: Bytes, shutdown: CancellationToken) -> Self {
        let hub = Hub::start(
            deps.store.clone(),
            Arc::clone(&deps.hints),
            Arc::clone(&deps.providers),
            &shutdown,
        );
        Self {
            store: deps.store,
            hints: deps.hints,
            sealing: Arc::new(deps.sealing),
            hub,
            providers: deps.providers,
            consent: deps.consent,
            addresses: Arc::new(deps.addresses),
            document,
            shutdown,
        }
    }

    /// Enqueues one job.
    pub(crate) async fn enqueue_one(
        &self,
        tx: &DatabaseTransaction,
        new: NewJob,
    ) -> Result<job::Model, Problem> {
        match self.store.jobs().enqueue(tx, vec![new]).await?.pop() {
            Some(enqueued) => Ok(enqueued.into_job()),
            None => Err(Problem::internal(&"an enqueue of one job gave no answer")),
        }
    }

    /// After the commit: tells workers and progress streams. In the background, because a
    /// carrier that is away must delay no answer; the row is the truth.
    pub(crate) fn announce(&self, announcement: Announcement) {
        if announcement.due.is_empty() && announcement.signals.is_empty() {
            return;
        }
        let hints = Arc::clone(&self.hints);
        tokio::spawn(async move {
            let all = async {
                for (queue, due) in announcement.due {
                    hints.push(queue, &[due]).await?;
                }
                for signal in announcement.signals {
                    hints.signal(signal).await?;
                }
                Ok::<(), HintsAway>(())
            };
            match tokio::time::timeout(HINT_PATIENCE, all).await {
                Ok(Ok(())) => {}
                Ok(Err(away)) => tracing::debug!(%away, "no hint was sent; the scheduler will"),
                Err(_) => {
                    tracing::debug!("the hint carrier is slow; the scheduler will send the hint")
                }
            }
        });
    }
}

/// What to tell after a commit.
#[derive(Debug, Default)]
pub(crate) struct Announcement {
    due: Vec<(Queue, Due)>,
    signals: Vec<Signal>,
}

impl Announcement {
    /// A job may be due, and its watchers may look.
    pub(crate) fn job(&mut self, job: &job::Model) {
        if job.state == JobState::Queued {
            let turn = job.org_id.unwrap_or(OrgId::DEPLOYMENT);
            self.due.push((job.queue, Due { job: job.id, turn }));
        }
        self.look_at_job(job.org_id, job.id);
    }

    /// An enqueued job; one that was only asked to run again needs no hint.
    pub(crate) fn enqueued(&mut self, enqueued: &Enqueued) {
        match enqueued {
            Enqueued::New(job) | Enqueued::Waiting(job) => self.job(job),
            Enqueued::Again(job) => self.look_at_job(job.org_id, job.id),
        }
    }

    /// The watchers of a job may look.
    pub(crate) fn look_at_job(&mut self, org: Option<OrgId>, job: JobId) {
        if let Some(org) = org {
            self.signals.push(Signal::Job { org, job });
        }
    }

    /// The watchers of a connection may look.
    pub(crate) fn connection(&mut self, org: OrgId, connection: ConnectionId) {
        self.signals.push(Signal::Connection { org, connection });
    }

    /// The watchers of an alert may look.
    pub(crate) fn alert(&mut self, org: OrgId, alert: AlertId) {
        self.signals.push(Signal::Alert { org, alert });
    }

    /// Jobs of a queue are due again.
    pub(crate) fn due(&mut self, queue: Queue, due: Due) {
        self.due.push((queue, due));
    }
}
