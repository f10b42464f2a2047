//! What the processes of a fleet share: they wait for the database, then use Redis
//! for hints, with or without its answer.

use std::sync::Arc;

use patchbay_core::{
    clock::SystemClock,
    config::{Config, Problem},
    hints::{Hints, RedisHints},
    store::Store,
};
use tokio_util::sync::CancellationToken;

use super::{database, readiness::Readiness};
use crate::exit::{Outcome, Stop};

/// A process's place in a fleet.
#[derive(Debug)]
pub struct Fleet {
    pub store: Store,
    pub hints: Arc<dyn Hints>,
}

/// Waits for the database and joins. `None`: asked to stop meanwhile.
///
/// Redis is not waited for: without it work goes on from the table, only slower.
pub async fn join(
    config: &Config,
    process: &str,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> Outcome<Option<Fleet>> {
    let Some(redis) = &config.redis_url else {
        return Err(Stop::usage(Problem::missing(
            "redis_url",
            "a fleet passes hints and signals through Redis",
        )));
    };
    let Some(db) = database::wait_for(config, process, readiness, stop).await? else {
        return Ok(None);
    };
    let store = Store::new(db, Arc::new(SystemClock));
    let deployment = store.deployment_id().await?;
    let hints = RedisHints::open(redis.0.expose(), deployment)
        .await
        .map_err(|error| Stop::usage(format!("redis_url: {error}")))?;
    if let Err(away) = hints.ping().await {
        tracing::warn!(
            "Redis does not answer ({away}): work goes on from the database until it does"
        );
    }
    Ok(Some(Fleet {
        store,
        hints: Arc::new(hints),
    }))
}
