//! Waits for hints by a blocking pop on a queue's marker list. The pop holds its
//! connection, so every queue has one of its own.

use std::{collections::BTreeMap, fmt, time::Duration};

use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use tokio::sync::Mutex;

use super::link::ANSWER_WITHIN;
use crate::{hints::HintsAway, job::Queue};

#[derive(Default)]
pub(super) struct Waiters(BTreeMap<Queue, Mutex<Option<MultiplexedConnection>>>);

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiters")
    }
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self(
            Queue::ALL
                .into_iter()
                .map(|queue| (queue, Mutex::default()))
                .collect(),
        )
    }

    /// Returns when a marker came or patience ran out.
    pub(super) async fn wait(
        &self,
        client: &Client,
        queue: Queue,
        marker: &str,
        patience: Duration,
    ) -> Result<(), HintsAway> {
        let mut held = self
            .0
            .get(&queue)
            .expect("`new` makes one for every queue")
            .lock()
            .await;
        let connection = held.take();
        let blocked = blocking_pop(client, connection, marker, patience);
        // The server answers when patience runs out; later than this it is not there.
        match tokio::time::timeout(patience + 2 * ANSWER_WITHIN, blocked).await {
            Ok(Ok(connection)) => {
                *held = Some(connection);
                Ok(())
            }
            Ok(Err(error)) => Err(HintsAway(error.to_string())),
            Err(_) => Err(HintsAway("Redis did not answer a blocking pop".to_owned())),
        }
    }
}

async fn blocking_pop(
    client: &Client,
    connection: Option<MultiplexedConnection>,
    marker: &str,
    patience: Duration,
) -> RedisResult<MultiplexedConnection> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(ANSWER_WITHIN))
                .set_response_timeout(None);
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await?
        }
    };
    redis::cmd("BLPOP")
        .arg(marker)
        .arg(patience.as_secs_f64())
        .exec_async(&mut connection)
        .await?;
    Ok(connection)
}
