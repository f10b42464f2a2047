//! Hints of a fleet, in Redis: per queue a sorted set of orgs in turn, a list of ids per
//! org, and a marker list that waiters block on. All keys of a queue share a hash tag, so
//! a cluster spreads queues. Losing any key costs time only.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use redis::{Client, FromRedisValue, Script, Value};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{HINTS_PER_TURN, Hints, HintsAway, Popped, Signal};
use crate::{
    ids::{DeploymentId, JobId, OrgId},
    job::Queue,
    store::jobs::Due,
};

mod link;
mod signals;
mod waiter;

use link::{ANSWER_WITHIN, Link};
use signals::Subscription;
use waiter::Waiters;

/// Ids in one call of the push script. Lua cannot unpack more than about 8,000 values,
/// and a short script keeps Redis answering others.
const PUSH_CHUNK: usize = 2_000;
/// Ids in one call of the pop script, for the same reasons.
const POP_MOST: usize = 1_000;

/// Hints and signals through Redis.
#[derive(Debug)]
pub struct RedisHints {
    link: Link,
    waiters: Waiters,
    subscription: Subscription,
    keys: HashMap<Queue, Keys>,
    channel: String,
    push: Script,
    pop: Script,
}

#[derive(Debug)]
struct Keys {
    ring: String,
    turn: String,
    marker: String,
    list_prefix: String,
}

impl Keys {
    fn of(deployment: DeploymentId, queue: Queue) -> Self {
        let tag = format!("{{pb:{deployment}:{}}}", queue.name());
        Self {
            ring: format!("{tag}:ring"),
            turn: format!("{tag}:turn"),
            marker: format!("{tag}:marker"),
            list_prefix: format!("{tag}:org:"),
        }
    }
}

impl RedisHints {
    /// Connects in the background; waits a second for it, and goes on without.
    ///
    /// # Errors
    /// The address is none. That Redis does not answer is no error: work goes on without
    /// it; [`Hints::ping`] tells.
    pub async fn open(url: &str, deployment: DeploymentId) -> Result<Self, HintsAway> {
        let client = Client::open(url).map_err(|error| HintsAway(error.to_string()))?;
        let channel = format!("pb:{deployment}:signals");
        let hints = Self {
            subscription: Subscription::open(client.clone(), channel.clone()),
            link: Link::open(client),
            waiters: Waiters::new(),
            keys: Queue::ALL
                .into_iter()
                .map(|queue| (queue, Keys::of(deployment, queue)))
                .collect(),
            channel,
            push: Script::new(include_str!("push.lua")),
            pop: Script::new(include_str!("pop.lua")),
        };
        if !hints.link.up_within(ANSWER_WITHIN).await {
            tracing::warn!("starting without Redis");
        }
        Ok(hints)
    }

    fn keys(&self, queue: Queue) -> &Keys {
        self.keys
            .get(&queue)
            .expect("`open` makes keys for every queue")
    }

    async fn push_chunk(&self, keys: &Keys, chunk: &[(OrgId, &[JobId])]) -> Result<(), HintsAway> {
        let mut call = self.push.key(&keys.ring);
        call.key(&keys.turn)
            .key(&keys.marker)
            .arg(HINTS_PER_TURN)
            .arg(&keys.list_prefix);
        for (org, ids) in chunk {
            call.arg(org.to_string()).arg(ids.len());
            for id in *ids {
                call.arg(id.0.as_bytes().as_slice());
            }
        }
        self.link
            .run(async |connection| call.invoke_async(connection).await)
            .await
    }
}

#[async_trait]
impl Hints for RedisHints {
    async fn push(&self, queue: Queue, due: &[Due]) -> Result<(), HintsAway> {
        let keys = self.keys(queue);
        let lists = by_turn(due);
        let pieces: Vec<(OrgId, &[JobId])> = lists
            .iter()
            .flat_map(|(org, ids)| {
                ids.chunks(HINTS_PER_TURN)
                    .take(1)
                    .map(|piece| (*org, piece))
            })
            .collect();
        if pieces.is_empty() {
            return self.push_chunk(keys, &[]).await;
        }
        let mut chunk = Vec::new();
        let mut ids_in_chunk = 0;
        for piece in pieces {
            if ids_in_chunk + piece.1.len() > PUSH_CHUNK {
                self.push_chunk(keys, &chunk).await?;
                chunk.clear();
                ids_in_chunk = 0;
            }
            ids_in_chunk += piece.1.len();
            chunk.push(piece);
        }
        self.push_chunk(keys, &chunk).await
    }

    async fn pop(&self, queue: Queue, limit: usize, skip: &[OrgId]) -> Result<Popped, HintsAway> {
        if limit == 0 {
            return Ok(Popped::default());
        }
        let keys = self.keys(queue);
        let mut call = self.pop.key(&keys.ring);
        call.key(&keys.turn)
            .key(&keys.marker)
            .arg(limit.min(POP_MOST))
            .arg(&keys.list_prefix);
        for org in skip {
            call.arg(org.to_string());
        }
        let answer: Vec<Value> = self
            .link
            .run(async |connection| call.invoke_async(connection).await)
            .await?;
        let mut answer = answer.into_iter();
        let waiting = answer
            .next()
            .and_then(|value| usize::from_redis_value(value).ok())
            .unwrap_or(0);
        let lists: Vec<(OrgId, Vec<JobId>)> = answer.filter_map(read_list).collect();
        Ok(Popped {
            due: in_turns(lists),
            several_wait: waiting > 1,
        })
    }

    async fn wait(&self, queue: Queue, patience: Duration) -> Result<(), HintsAway> {
        if !self.link.is_up() {
            return Err(HintsAway("Redis is not connected".to_owned()));
        }
        self.waiters
            .wait(
                self.link.client(),
                queue,
                &self.keys(queue).marker,
                patience,
            )
            .await
    }

    async fn depth(&self, queue: Queue, orgs: &[OrgId]) -> Result<Vec<usize>, HintsAway> {
        if orgs.is_empty() {
            return Ok(Vec::new());
        }
        let keys = self.keys(queue);
        let mut lengths = redis::pipe();
        for org in orgs {
            lengths
                .cmd("LLEN")
                .arg(format!("{}{org}", keys.list_prefix));
        }
        self.link
            .run(async |connection| lengths.query_async(connection).await)
            .await
    }

    async fn signal_all(&self, signals: &[Signal]) -> Result<(), HintsAway> {
        if signals.is_empty() {
            return Ok(());
        }
        if !self.subscription.is_live() {
            self.subscription.tell_here(signals);
        }
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.channel).arg(signals::encode(signals));
        self.link
            .run(async |connection| publish.exec_async(connection).await)
            .await
    }

    fn signals(&self) -> broadcast::Receiver<Signal> {
        self.subscription.readers().subscribe()
    }

    async fn ping(&self) -> Result<(), HintsAway> {
        self.link
            .run(async |connection| redis::cmd("PING").exec_async(connection).await)
            .await
    }
}

/// Ids of each org, in the order they came.
fn by_turn(due: &[Due]) -> Vec<(OrgId, Vec<JobId>)> {
    let mut place: HashMap<OrgId, usize> = HashMap::new();
    let mut lists: Vec<(OrgId, Vec<JobId>)> = Vec::new();
    for hint in due {
        let at = *place.entry(hint.turn).or_insert_with(|| {
            lists.push((hint.turn, Vec::new()));
            lists.len() - 1
        });
        lists[at].1.push(hint.job);
    }
    lists
}

/// One of each org, then the next of each, as turns go.
fn in_turns(lists: Vec<(OrgId, Vec<JobId>)>) -> Vec<Due> {
    let longest = lists.iter().map(|(_, ids)| ids.len()).max().unwrap_or(0);
    (0..longest)
        .flat_map(|round| {
            lists.iter().filter_map(move |(turn, ids)| {
                ids.get(round).map(|job| Due {
                    job: *job,
                    turn: *turn,
                })
            })
        })
        .collect()
}

/// What is no hint of ours is passed over: anyone may have written there.
fn read_list(value: Value) -> Option<(OrgId, Vec<JobId>)> {
    let (org, ids): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(value).ok()?;
    let ids = ids
        .iter()
        .filter_map(|id| Uuid::from_slice(id).ok().map(JobId))
        .collect();
    Some((org.parse().ok()?, ids))
}
