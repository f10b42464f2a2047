//! `?wait=10`: an answer that waits for the end of its jobs.

use std::time::Duration;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use patchbay_core::{
    ids::{JobId, OrgId},
    store::job_reads::JobPicture,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    problem::{FieldError, Problem},
    routes::jobs::JobView,
    state::Api,
};

/// Seconds that a request may wait at most.
const MOST: u64 = 60;

/// The query of a route that returns jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds to wait for the job's end, 0 to 60. 200 with the ended job, or 202 when the time is over.
    pub wait: Option<u64>,
}

/// How long a request waits.
#[derive(Debug, Clone, Copy)]
pub struct Wait(Duration);

/// Jobs as they are after the wait.
#[derive(Debug)]
pub struct Waited {
    /// In the order asked for.
    pub views: Vec<JobView>,
    ended: bool,
}

impl Waited {
    fn of(views: Vec<JobView>) -> Self {
        let ended = views.iter().all(|view| view.state.is_end());
        Self { views, ended }
    }

    /// 200 when every job has ended, else 202.
    pub fn status(&self) -> StatusCode {
        if self.ended {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        }
    }
}

impl Wait {
    /// What the query asks.
    pub fn of(query: &WaitQuery) -> Result<Self, Problem> {
        match query.wait.unwrap_or(0) {
            seconds @ 0..=MOST => Ok(Self(Duration::from_secs(seconds))),
            _ => Err(Problem::query(vec![FieldError::parameter(
                "wait",
                format!("must be from 0 to {MOST} seconds"),
            )])),
        }
    }

    /// At most so long.
    pub const fn at_most(time: Duration) -> Self {
        Self(time)
    }

    /// The same for jobs of an org by their ids.
    ///
    /// # Errors
    /// The database.
    pub async fn for_ids(self, api: &Api, org: OrgId, ids: &[JobId]) -> Result<Waited, Problem> {
        let jobs = api.store.jobs_by_id(api.store.db(), org, ids).await?;
        Ok(self.for_jobs(api, jobs).await)
    }

    /// The first of these jobs, as an answer.
    ///
    /// # Errors
    /// There is none, or the database.
    pub async fn answer(self, api: &Api, org: OrgId, ids: &[JobId]) -> Result<Response, Problem> {
        let waited = self.for_ids(api, org, ids).await?;
        let status = waited.status();
        match waited.views.into_iter().next() {
            Some(job) => Ok((status, Json(job)).into_response()),
            None => Err(Problem::not_found("job")),
        }
    }

    /// Waits for the end of all jobs, or until the time is over or the process stops.
    pub async fn for_jobs(self, api: &Api, jobs: Vec<JobPicture>) -> Waited {
        if self.0.is_zero() || jobs.iter().all(|job| job.state.is_end()) {
            let views = jobs.into_iter().map(|job| JobView::of(&api.providers, job));
            return Waited::of(views.collect());
        }
        let mut watched: Vec<_> = jobs.into_iter().map(|job| api.hub.watch_job(job)).collect();
        let all = async {
            for job in &mut watched {
                // An error means that the hub has stopped; the last picture is the answer.
                if job
                    .wait_for(|frame| frame.view.state.is_end())
                    .await
                    .is_err()
                {
                    return;
                }
            }
        };
        tokio::select! {
            () = all => {}
            () = tokio::time::sleep(self.0) => {}
            () = api.shutdown.cancelled() => {}
        }
        Waited::of(
            watched
                .iter()
                .map(|job| job.borrow().view.clone())
                .collect(),
        )
    }
}
