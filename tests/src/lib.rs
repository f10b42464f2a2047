//! What Patchbay's tests stand on: real PostgreSQL, real Redis, real processes of the product.
//!
//! Tests go through a boundary with real parts. Per test: [`TestDatabase::fresh`] (an own migrated
//! database on the run's PostgreSQL) and [`TestRedis::fresh`] (an own numbered database on the
//! run's Redis). A test that kills or pauses a server starts its own: [`PostgresServer::start`],
//! [`RedisServer::start`]. [`Process`] runs the `patchbay` binary and can kill or pause it; tests
//! that use it live under `it/fleet/`, which the runner runs one at a time.
//!
//! This crate must not depend on any crate of ours but the migrations, so that every crate can
//! use it in its tests.

mod database;
mod fresh_redis;
mod port;
mod postgres_server;
mod process;
mod redis_server;
mod shared_servers;
mod spawn;

pub use database::TestDatabase;
pub use fresh_redis::TestRedis;
pub use port::free_port;
pub use postgres_server::PostgresServer;
pub use process::{Process, patchbay_binary};
pub use redis_server::RedisServer;
pub use shared_servers::{SharedServers, launch, serve};
