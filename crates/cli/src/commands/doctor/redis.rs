//! Redis: does it answer? Without it work goes on, only slower.

use patchbay_core::{
    config::Config,
    hints::{Hints, RedisHints},
    ids::DeploymentId,
};
use uuid::Uuid;

use super::Check;

pub async fn look(config: &Config) -> Check {
    let advice =
        "start it, or correct redis_url; until then jobs are found in the database, a little later";
    let Some(url) = &config.redis_url else {
        return Check::broken(
            "redis",
            "redis_url is not set",
            "a fleet passes hints and signals through Redis",
        );
    };
    // No key of a deployment is touched by a ping.
    let hints = match RedisHints::open(url.0.expose(), DeploymentId(Uuid::nil())).await {
        Ok(hints) => hints,
        Err(error) => return Check::broken("redis", error.to_string(), "correct redis_url"),
    };
    match hints.ping().await {
        Ok(()) => Check::ok("redis", "answers"),
        Err(error) => Check::broken("redis", error.to_string(), advice),
    }
}
