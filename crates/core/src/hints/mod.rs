//! Hints: "job X may be due". A fair ring per queue, one list of ids per org.
//! A hint may be lost, doubled, reordered or forged without harm, because a
//! claim asks the database. Two implementations: Redis for a fleet, memory for
//! one process. Also carries signals: "look at job X again", for progress streams.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::{
    ids::{AlertId, ConnectionId, JobId, OrgId},
    job::Queue,
    store::jobs::Due,
};

pub mod memory;
pub mod redis;

pub use memory::MemoryHints;
pub use redis::RedisHints;

/// Ids held per org and queue; the rest waits in the table.
pub const HINTS_PER_TURN: usize = 1_000;

/// The hint carrier is away. The caller goes on without: the table has the truth.
#[derive(Debug, Clone, thiserror::Error)]
#[error("hints: {0}")]
pub struct HintsAway(pub String);

/// Something to look at again; carries no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Its state or progress changed.
    Job { org: OrgId, job: JobId },
    /// Its status, health or config changed.
    Connection {
        org: OrgId,
        connection: ConnectionId,
    },
    /// It was raised or resolved, or a person did something with it.
    Alert { org: OrgId, alert: AlertId },
}

/// Where hints wait. Object-safe, so that worker code has no generics.
#[async_trait]
pub trait Hints: Send + Sync + fmt::Debug {
    /// Step 2. Adds hints after the commit; at most [`HINTS_PER_TURN`] are kept per
    /// org and queue. An id that is already waiting is not doubled where that is cheap.
    /// With no hints it only wakes a waiter where hints are left.
    async fn push(&self, queue: Queue, due: &[Due]) -> Result<(), HintsAway>;

    /// Step 3. Takes at most `limit` ids, one org after the other, passing over `skip`.
    /// Returns at once.
    async fn pop(&self, queue: Queue, limit: usize, skip: &[OrgId]) -> Result<Popped, HintsAway>;

    /// Waits until a hint may be there for this queue, at most `patience`. Do not drop it
    /// while it waits: it may swallow the wake-up meant for another process.
    async fn wait(&self, queue: Queue, patience: Duration) -> Result<(), HintsAway>;

    /// Ids that wait for each of these orgs, in order, so that a scheduler tops up only
    /// the lists that ran low.
    async fn depth(&self, queue: Queue, orgs: &[OrgId]) -> Result<Vec<usize>, HintsAway>;

    /// Tells every process to look at something again. Best effort.
    async fn signal(&self, signal: Signal) -> Result<(), HintsAway> {
        self.signal_all(&[signal]).await
    }

    /// The same for many things, in one message.
    async fn signal_all(&self, signals: &[Signal]) -> Result<(), HintsAway>;

    /// Signals from every process, this one included. Lagging readers lose the oldest.
    fn signals(&self) -> broadcast::Receiver<Signal>;

    /// Whether the carrier answers now.
    async fn ping(&self) -> Result<(), HintsAway>;
}

/// What a pop gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Popped {
    /// Hints, in fair order.
    pub due: Vec<Due>,
    /// Whether hints of more than one org are left in this queue.
    pub several_wait: bool,
}

/// Signals kept for a reader that is slower than they come; each is 40 bytes.
const SIGNALS_KEPT: usize = 16_384;
