//! The harness keeps its promises: what every other test relies on.

mod postgres;
mod process;
mod redis;
mod shared_servers;
