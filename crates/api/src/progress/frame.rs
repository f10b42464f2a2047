//! One picture, rendered once for all its subscribers.

use axum::body::Bytes;
use patchbay_core::{job::JobState, store::job_reads::JobPicture};
use patchbay_providers::Registry;
use serde::Serialize;

use crate::routes::jobs::JobView;

/// A job's present picture as a server-sent event.
#[derive(Debug)]
pub struct JobFrame {
    /// The `id` of the event: [`frame_id`].
    pub id: String,
    /// The picture.
    pub view: JobView,
    /// The whole event, ready to be sent.
    pub event: Bytes,
    age: Age,
}

/// Orders two pictures of one job: the epoch grows with every claim and cancel, and within
/// an epoch a job first runs and then does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    epoch: i64,
    left_running: bool,
    progress_no: i64,
}

impl JobFrame {
    /// Renders a picture.
    pub fn of(known: &Registry, job: JobPicture) -> Self {
        let id = frame_id(&job);
        let age = Age {
            epoch: job.lease_epoch,
            left_running: job.state != JobState::Running,
            progress_no: job.progress_no,
        };
        let view = JobView::of(known, job);
        let event = event("progress", Some(&id), &view);
        Self {
            id,
            view,
            event,
            age,
        }
    }

    /// Whether `self` should take the place of `shown`: it says something else, and is not older.
    pub fn replaces(&self, shown: &Self) -> bool {
        self.age >= shown.age && self.view != shown.view
    }
}

/// `<progress_no>-<rank of the state>`.
pub fn frame_id(job: &JobPicture) -> String {
    format!("{}-{}", job.progress_no, rank(job.state))
}

/// States in the order of a job's life.
fn rank(state: JobState) -> u8 {
    match state {
        JobState::Queued => 0,
        JobState::Parked => 1,
        JobState::Running => 2,
        JobState::Succeeded => 3,
        JobState::Failed => 4,
        JobState::Cancelled => 5,
        JobState::Quarantined => 6,
    }
}

/// An event in the format of the HTML standard, section 9.2 (JSON has no raw line breaks).
pub fn event(name: &str, id: Option<&str>, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("our own shapes are JSON");
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}
