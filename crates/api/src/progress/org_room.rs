//! What the subscribers of one org see: its active jobs (200 at most in the first
//! picture) and its connections, each with the number of its last change. A
//! subscriber remembers the number it has seen and takes what is newer, so the
//! memory of the room does not depend on how many watch or how slow they are.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::body::Bytes;
use patchbay_core::{
    ids::{ConnectionId, JobId, OrgId},
    store::{Store, StoreError, connections::ConnectionFilter},
};
use serde::Serialize;
use tokio::sync::watch;

use super::{JobFrame, frame::event};
use crate::routes::{connections::ConnectionView, jobs::JobView};

/// Jobs in the first picture.
pub const PICTURE_JOBS: u64 = 200;
/// Connections in the first picture.
const PICTURE_CONNECTIONS: u64 = 1_000;
/// Jobs remembered. Ended ones go first; beyond that the newest waiting ones are not shown.
const JOBS_KEPT: usize = 1_000;

/// The first message of an org's stream.
#[derive(Debug, Serialize)]
struct Picture<'a> {
    jobs: Vec<&'a JobView>,
    connections: Vec<&'a ConnectionView>,
}

/// One org's shown things.
#[derive(Debug)]
pub struct OrgRoom {
    shown: Mutex<Shown>,
    /// Number of the last change; 0 until the first picture is there.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Shown {
    last_change: u64,
    jobs: BTreeMap<JobId, Entry<Arc<JobFrame>>>,
    connections: BTreeMap<ConnectionId, Entry<ConnectionView>>,
}

#[derive(Debug)]
struct Entry<T> {
    change: u64,
    of: T,
    /// Rendered once for all subscribers.
    event: Bytes,
}

impl Default for OrgRoom {
    fn default() -> Self {
        Self {
            shown: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl OrgRoom {
    /// Tells when there is something new.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The whole picture, and the number up to which it tells.
    pub fn picture(&self) -> (u64, Bytes) {
        let shown = self.lock();
        let active = shown
            .jobs
            .values()
            .map(|entry| &entry.of.view)
            .filter(|job| !job.state.is_end());
        let jobs = active.rev().take(PICTURE_JOBS as usize).collect();
        let connections = shown.connections.values().map(|entry| &entry.of).collect();
        let id = shown.last_change.to_string();
        (
            shown.last_change,
            event("picture", Some(&id), &Picture { jobs, connections }),
        )
    }

    /// Events for what changed after `seen`, and the number up to which they tell.
    pub fn since(&self, seen: u64) -> (u64, Vec<Bytes>) {
        let shown = self.lock();
        let connections = shown
            .connections
            .values()
            .map(|entry| (entry.change, &entry.event));
        let jobs = shown
            .jobs
            .values()
            .map(|entry| (entry.change, &entry.event));
        let mut news: Vec<(u64, &Bytes)> = connections
            .chain(jobs)
            .filter(|(change, _)| *change > seen)
            .collect();
        news.sort_by_key(|(change, _)| *change);
        (
            shown.last_change,
            news.into_iter().map(|(_, event)| event.clone()).collect(),
        )
    }

    /// Takes up a job's present picture.
    pub fn show_job(&self, frame: &Arc<JobFrame>) {
        let mut shown = self.lock();
        shown.job(frame);
        shown.make_room();
        self.tell(&shown);
    }

    /// Reads everything of the org that is shown.
    pub async fn read_whole(&self, store: &Store, org: OrgId) -> Result<(), StoreError> {
        let connections = store
            .connections(org, &ConnectionFilter::default(), PICTURE_CONNECTIONS)
            .await?;
        let mut jobs = store.jobs_active(org, PICTURE_JOBS).await?;
        let read: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
        // Shown as active and not read: they may have ended.
        let gone: Vec<JobId> = {
            let shown = self.lock();
            let active = shown
                .jobs
                .iter()
                .filter(|(id, entry)| !entry.of.view.state.is_end() && !read.contains(id));
            active.map(|(id, _)| *id).collect()
        };
        jobs.extend(store.job_pictures(&gone).await?);
        let mut shown = self.lock();
        for job in jobs {
            shown.job(&Arc::new(JobFrame::of(job)));
        }
        for row in connections {
            shown.connection(ConnectionView::from(row));
        }
        shown.make_room();
        if shown.last_change == 0 {
            shown.last_change = 1;
        }
        self.tell(&shown);
        Ok(())
    }

    fn tell(&self, shown: &Shown) {
        self.changes.send_if_modified(|told| {
            std::mem::replace(told, shown.last_change) != shown.last_change
        });
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().expect("no holder of this lock panics")
    }
}

impl Shown {
    fn job(&mut self, frame: &Arc<JobFrame>) {
        let id = frame.view.id;
        if self
            .jobs
            .get(&id)
            .is_none_or(|entry| frame.replaces(&entry.of))
        {
            self.last_change += 1;
            let event = event("job", Some(&self.last_change.to_string()), &frame.view);
            self.jobs.insert(
                id,
                Entry {
                    change: self.last_change,
                    of: Arc::clone(frame),
                    event,
                },
            );
        }
    }

    fn connection(&mut self, view: ConnectionView) {
        if self
            .connections
            .get(&view.id)
            .is_none_or(|entry| entry.of != view)
        {
            self.last_change += 1;
            let event = event("connection", Some(&self.last_change.to_string()), &view);
            self.connections.insert(
                view.id,
                Entry {
                    change: self.last_change,
                    of: view,
                    event,
                },
            );
        }
    }

    fn make_room(&mut self) {
        while self.jobs.len() > JOBS_KEPT {
            let ended = self
                .jobs
                .iter()
                .find(|(_, entry)| entry.of.view.state.is_end())
                .map(|(id, _)| *id);
            match ended.or_else(|| self.jobs.keys().next_back().copied()) {
                Some(id) => self.jobs.remove(&id),
                None => return,
            };
        }
    }
}
