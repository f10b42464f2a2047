//! Signals between processes: one publish/subscribe channel per deployment. A message
//! holds any number of signals of 33 bytes each: what it is about, the org, the id.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use redis::{Client, RedisResult};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::link::ANSWER_WITHIN;
use crate::{
    hints::{SIGNALS_KEPT, Signal},
    ids::{AlertId, ConnectionId, JobId, OrgId},
};

const BYTES: usize = 33;
const JOB: u8 = b'j';
const CONNECTION: u8 = b'c';
const ALERT: u8 = b'a';
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// The subscription of this process and its readers.
pub(super) struct Subscription {
    readers: broadcast::Sender<Signal>,
    live: Arc<AtomicBool>,
    _listener: DropGuard,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("live", &self.is_live())
            .finish_non_exhaustive()
    }
}

impl Subscription {
    pub(super) fn open(client: Client, channel: String) -> Self {
        let readers = broadcast::Sender::new(SIGNALS_KEPT);
        let live = Arc::new(AtomicBool::new(false));
        let stop = CancellationToken::new();
        let listener = listen(client, channel, readers.clone(), Arc::clone(&live));
        tokio::spawn(stop.clone().run_until_cancelled_owned(listener));
        Self {
            readers,
            live,
            _listener: stop.drop_guard(),
        }
    }

    pub(super) fn readers(&self) -> &broadcast::Sender<Signal> {
        &self.readers
    }

    /// Whether what this process publishes comes back to its own readers.
    pub(super) fn is_live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// To this process's readers only.
    pub(super) fn tell_here(&self, signals: &[Signal]) {
        for signal in signals {
            // An error says that nobody listens now.
            self.readers.send(*signal).ok();
        }
    }
}

async fn listen(
    client: Client,
    channel: String,
    readers: broadcast::Sender<Signal>,
    live: Arc<AtomicBool>,
) {
    let mut pause = FIRST_RETRY;
    loop {
        let ended = follow(&client, &channel, &readers, &live).await;
        if live.swap(false, Ordering::Relaxed) {
            pause = FIRST_RETRY;
        }
        // The link to Redis says at a louder level that it is away.
        tracing::debug!(?ended, "signals of other processes stopped coming");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
    }
}

async fn follow(
    client: &Client,
    channel: &str,
    readers: &broadcast::Sender<Signal>,
    live: &AtomicBool,
) -> RedisResult<()> {
    let subscribe = async {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(channel).await?;
        RedisResult::Ok(subscription)
    };
    let mut subscription = match tokio::time::timeout(2 * ANSWER_WITHIN, subscribe).await {
        Ok(subscription) => subscription?,
        Err(_) => return Ok(()),
    };
    live.store(true, Ordering::Relaxed);
    let mut messages = subscription.on_message();
    while let Some(message) = messages.next().await {
        for signal in decode(message.get_payload_bytes()) {
            // An error says that nobody listens now.
            readers.send(signal).ok();
        }
    }
    Ok(())
}

pub(super) fn encode(signals: &[Signal]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(signals.len() * BYTES);
    for signal in signals {
        let (what, org, id) = match signal {
            Signal::Job { org, job } => (JOB, org, job.0),
            Signal::Connection { org, connection } => (CONNECTION, org, connection.0),
            Signal::Alert { org, alert } => (ALERT, org, alert.0),
        };
        bytes.push(what);
        bytes.extend_from_slice(org.0.as_bytes());
        bytes.extend_from_slice(id.as_bytes());
    }
    bytes
}

/// What cannot be read is passed over: another version may say more.
pub(super) fn decode(bytes: &[u8]) -> impl Iterator<Item = Signal> + '_ {
    bytes.chunks_exact(BYTES).filter_map(|entry| {
        let org = OrgId(Uuid::from_slice(&entry[1..17]).ok()?);
        let id = Uuid::from_slice(&entry[17..]).ok()?;
        match entry[0] {
            JOB => Some(Signal::Job {
                org,
                job: JobId(id),
            }),
            CONNECTION => Some(Signal::Connection {
                org,
                connection: ConnectionId(id),
            }),
            ALERT => Some(Signal::Alert {
                org,
                alert: AlertId(id),
            }),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_survive_the_wire_and_rubbish_is_passed_over() {
        let org = OrgId(Uuid::from_u128(7));
        let signals = [
            Signal::Job {
                org,
                job: JobId(Uuid::from_u128(1)),
            },
            Signal::Connection {
                org,
                connection: ConnectionId(Uuid::from_u128(2)),
            },
            Signal::Alert {
                org,
                alert: AlertId(Uuid::from_u128(3)),
            },
        ];
        let mut bytes = encode(&signals);
        assert_eq!(decode(&bytes).collect::<Vec<_>>(), signals);
        bytes[0] = b'?';
        bytes.push(b'j');
        assert_eq!(decode(&bytes).collect::<Vec<_>>(), signals[1..]);
    }
}
