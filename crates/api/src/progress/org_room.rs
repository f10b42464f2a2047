//! What the subscribers of one org see: its active jobs (200 at most in the first
//! picture), its connections and its alerts, each with the number of its last change. A
//! subscriber remembers the number it has seen and takes what is newer, so the
//! memory of the room does not depend on how many watch or how slow they are.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::body::Bytes;
use patchbay_core::{
    ids::{AlertId, ConnectionId, JobId, OrgId},
    store::{Store, StoreError, connections::ConnectionFilter},
};
use patchbay_providers::Registry;
use serde::Serialize;
use tokio::sync::watch;

use super::{JobFrame, frame::event};
use crate::routes::{alerts::AlertView, connections::ConnectionView, jobs::JobView};

/// Jobs in the first picture.
pub const PICTURE_JOBS: u64 = 200;
/// Connections in the first picture.
const PICTURE_CONNECTIONS: u64 = 1_000;
/// Alerts in the first picture.
const PICTURE_ALERTS: u64 = 200;
/// Alerts remembered; resolved ones go first, then the oldest.
const ALERTS_KEPT: usize = 400;
/// Jobs remembered. Ended ones go first; beyond that the newest waiting ones are not shown.
const JOBS_KEPT: usize = 1_000;

/// The first message of an org's stream.
#[derive(Debug, Serialize)]
struct Picture<'a> {
    jobs: Vec<&'a JobView>,
    connections: Vec<&'a ConnectionView>,
    alerts: Vec<&'a AlertView>,
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
    /// The newest event of each thing that is shown, by its change: rendered once for all.
    events: BTreeMap<u64, Bytes>,
    /// The whole picture as it was at a change, for all who come before the next.
    picture: Option<(u64, Bytes)>,
    jobs: BTreeMap<JobId, Entry<Arc<JobFrame>>>,
    connections: BTreeMap<ConnectionId, Entry<ConnectionView>>,
    alerts: BTreeMap<AlertId, Entry<AlertView>>,
}

#[derive(Debug)]
struct Entry<T> {
    change: u64,
    of: T,
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
        let mut shown = self.lock();
        let now = shown.last_change;
        let picture = match &shown.picture {
            Some((at, picture)) if *at == now => picture.clone(),
            Some(_) | None => {
                let picture = shown.render();
                shown.picture.insert((now, picture)).1.clone()
            }
        };
        (now, picture)
    }

    /// The oldest change after `seen` that still stands, and its event. One at a time: a
    /// slow subscriber holds nothing but that one.
    pub fn after(&self, seen: u64) -> Option<(u64, Bytes)> {
        let shown = self.lock();
        let mut later = shown.events.range(seen + 1..);
        later.next().map(|(change, event)| (*change, event.clone()))
    }

    /// Takes up a job's present picture.
    pub fn show_job(&self, frame: &Arc<JobFrame>) {
        let mut shown = self.lock();
        shown.job(frame);
        shown.make_room();
        self.tell(&shown);
    }

    /// Reads everything of the org that is shown.
    pub async fn read_whole(
        &self,
        store: &Store,
        known: &Registry,
        org: OrgId,
    ) -> Result<(), StoreError> {
        let mut connections = store
            .connections(org, &ConnectionFilter::default(), PICTURE_CONNECTIONS)
            .await?;
        store.with_last_checks(&mut connections).await?;
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
        let alerts = self.read_alerts(store, known, org).await?;
        let mut shown = self.lock();
        for job in jobs {
            shown.job(&Arc::new(JobFrame::of(known, job)));
        }
        for row in connections {
            shown.connection(ConnectionView::from(row));
        }
        for alert in alerts {
            shown.alert(alert);
        }
        shown.make_room();
        if shown.last_change == 0 {
            shown.last_change = 1;
        }
        self.tell(&shown);
        Ok(())
    }

    /// Alerts that stand, and those that were shown as standing and may be over.
    async fn read_alerts(
        &self,
        store: &Store,
        known: &Registry,
        org: OrgId,
    ) -> Result<Vec<AlertView>, StoreError> {
        let standing: Vec<AlertId> = {
            let shown = self.lock();
            let standing = shown.alerts.values().filter(|entry| !entry.of.is_over());
            standing.map(|entry| entry.of.id()).collect()
        };
        let rows = store
            .standing_alerts(org, PICTURE_ALERTS, &standing)
            .await?;
        let about = rows.iter().filter_map(|row| row.connection_id);
        let providers: HashMap<ConnectionId, String> =
            store.providers_of_connections(org, about).await?;
        Ok(rows
            .into_iter()
            .map(|row| AlertView::of(known, &providers, row))
            .collect())
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
    fn render(&self) -> Bytes {
        let active = self
            .jobs
            .values()
            .map(|entry| &entry.of.view)
            .filter(|job| !job.state.is_end());
        let jobs = active.rev().take(PICTURE_JOBS as usize).collect();
        let connections = self.connections.values().map(|entry| &entry.of).collect();
        let alerts = self.alerts.values().map(|entry| &entry.of);
        let alerts = alerts.rev().filter(|alert| !alert.is_over());
        let picture = Picture {
            jobs,
            connections,
            alerts: alerts.take(PICTURE_ALERTS as usize).collect(),
        };
        let id = self.last_change.to_string();
        event("picture", Some(&id), &picture)
    }

    fn job(&mut self, frame: &Arc<JobFrame>) {
        let id = frame.view.id;
        let before = self.jobs.get(&id);
        if before.is_none_or(|entry| frame.replaces(&entry.of)) {
            let change = self.change(before.map(|entry| entry.change), "job", &frame.view);
            let of = Arc::clone(frame);
            self.jobs.insert(id, Entry { change, of });
        }
    }

    fn connection(&mut self, view: ConnectionView) {
        let before = self.connections.get(&view.id);
        if before.is_none_or(|entry| entry.of != view) {
            let change = self.change(before.map(|entry| entry.change), "connection", &view);
            self.connections.insert(view.id, Entry { change, of: view });
        }
    }

    fn alert(&mut self, view: AlertView) {
        let before = self.alerts.get(&view.id());
        if before.is_none_or(|entry| entry.of != view) {
            let change = self.change(before.map(|entry| entry.change), "alert", &view);
            self.alerts.insert(view.id(), Entry { change, of: view });
        }
    }

    /// Counts a change; its event takes the place of the one before.
    fn change(&mut self, before: Option<u64>, name: &str, view: &impl Serialize) -> u64 {
        if let Some(before) = before {
            self.events.remove(&before);
        }
        self.last_change += 1;
        let id = self.last_change.to_string();
        self.events
            .insert(self.last_change, event(name, Some(&id), view));
        self.last_change
    }

    fn make_room(&mut self) {
        while self.alerts.len() > ALERTS_KEPT {
            let over = self.alerts.values().find(|entry| entry.of.is_over());
            let goes = over.or_else(|| self.alerts.values().next());
            let Some(id) = goes.map(|entry| entry.of.id()) else {
                break;
            };
            if let Some(gone) = self.alerts.remove(&id) {
                self.events.remove(&gone.change);
            }
        }
        while self.jobs.len() > JOBS_KEPT {
            let ended = self
                .jobs
                .iter()
                .find(|(_, entry)| entry.of.view.state.is_end())
                .map(|(id, _)| *id);
            match ended.or_else(|| self.jobs.keys().next_back().copied()) {
                Some(id) => {
                    if let Some(gone) = self.jobs.remove(&id) {
                        self.events.remove(&gone.change);
                    }
                }
                None => return,
            }
        }
    }
}
