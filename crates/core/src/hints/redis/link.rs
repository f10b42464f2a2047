//! The connection to Redis, kept by a task: callers never connect, so that while Redis
//! is away they are told at once and lose no time.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::hints::HintsAway;

/// An answer later than this counts as none: direct claims are faster than waiting.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);

pub(super) struct Link {
    client: Client,
    shared: Arc<Shared>,
    _keeper: DropGuard,
}

#[derive(Default)]
struct Shared {
    connection: Mutex<Numbered>,
    lost: Notify,
    found: Notify,
}

/// A connection and which in a row it is, so that a late error of an old one does not
/// throw away the new one.
#[derive(Default)]
struct Numbered {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's own text would show a password in its address.
        f.debug_struct("Link")
            .field("up", &self.is_up())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Starts the task that keeps the connection.
    pub(super) fn open(client: Client) -> Self {
        let shared = Arc::new(Shared::default());
        let stop = CancellationToken::new();
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(keep(client.clone(), Arc::clone(&shared))),
        );
        Self {
            client,
            shared,
            _keeper: stop.drop_guard(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_up(&self) -> bool {
        self.shared.lock().connection.is_some()
    }

    /// Waits for a connection, at most `patience`.
    pub(super) async fn up_within(&self, patience: Duration) -> bool {
        let found = self.shared.found.notified();
        self.is_up() || tokio::time::timeout(patience, found).await.is_ok()
    }

    /// Runs one command or script; any error means the carrier is away for this caller.
    pub(super) async fn run<T>(
        &self,
        call: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, HintsAway> {
        let (number, connection) = {
            let now = self.shared.lock();
            (now.number, now.connection.clone())
        };
        let Some(mut connection) = connection else {
            return Err(HintsAway("Redis is not connected".to_owned()));
        };
        call(&mut connection).await.map_err(|error| {
            if connection_is_spent(&error) {
                self.shared.lose(number, &error);
            }
            HintsAway(error.to_string())
        })
    }
}

/// Timeouts included: a Redis that is stopped or swamped must not delay the next caller.
/// READONLY and LOADING come from a server that is no more, or not yet, the one to talk to.
fn connection_is_spent(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_unrecoverable_error()
        || matches!(
            error.code(),
            Some("READONLY" | "LOADING" | "MASTERDOWN" | "NOAUTH")
        )
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, number: u64, error: &RedisError) {
        let mut now = self.lock();
        if now.number == number && now.connection.take().is_some() {
            tracing::warn!(%error, "Redis is away: jobs are claimed from the database until it is back");
            self.lost.notify_one();
        }
    }
}

async fn keep(client: Client, shared: Arc<Shared>) {
    let mut was_away = false;
    loop {
        let connection = connect_patiently(&client, &mut was_away).await;
        {
            let mut now = shared.lock();
            now.number += 1;
            now.connection = Some(connection);
        }
        if was_away {
            tracing::info!("Redis is back");
        }
        shared.found.notify_waiters();
        shared.lost.notified().await;
        was_away = true;
    }
}

async fn connect_patiently(client: &Client, was_away: &mut bool) -> MultiplexedConnection {
    let mut pause = FIRST_RETRY;
    loop {
        match connect(client).await {
            Ok(connection) => return connection,
            Err(error) if *was_away => tracing::debug!(%error, "Redis is still away"),
            Err(error) => {
                *was_away = true;
                tracing::warn!(%error, "Redis does not answer: jobs are claimed from the database until it does");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_RETRY);
    }
}

async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    // A stopped server still accepts connections; only an answer proves it is there.
    redis::cmd("PING").exec_async(&mut connection).await?;
    Ok(connection)
}
