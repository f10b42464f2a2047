//! Redis: does it answer? Without it work goes on, only slower.

use patchbay_core::{
    config::Config,
    hints::{Hints, RedisHints},
    ids::DeploymentId,
};
use uuid::Uuid;

use super::Check;
use crate::serve::reach;

const PORT: u16 = 6379;

pub async fn look(config: &Config) -> Check {
    let advice =
        "start it, or correct redis_url; until then jobs are found in the database, a little later";
    let Some(url) = &config.redis_url else {
        return Check::broken(
            "redis",
            "redis_url is not set",
            "set it: a fleet passes hints and signals through Redis",
        );
    };
    let url = url.0.expose();
    if let Err(error) = reach::listens("Redis", url, PORT).await {
        return Check::broken("redis", error, advice);
    }
    // No key of a deployment is touched by a ping.
    let hints = match RedisHints::open(url, DeploymentId(Uuid::nil())).await {
        Ok(hints) => hints,
        Err(error) => return Check::broken("redis", error.to_string(), "correct redis_url"),
    };
    match hints.ping().await {
        Ok(()) => Check::ok("redis", "answers"),
        Err(error) => Check::broken(
            "redis",
            format!("listens, but refuses or does not answer ({error})"),
            "do name, password and database number in redis_url fit?",
        ),
    }
}
