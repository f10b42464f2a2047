//! A fleet of real processes on its own PostgreSQL and Redis: one sync while
//! workers die, Redis goes away, and processes are restarted.
//!
//! The stand-in lives in the test, and client commands are waited for: so these tests
//! run on a runtime with a thread of its own.

mod canary;
mod key_rotation;
mod needles;
mod recording;
mod redis_lost;
mod reencrypt_killed;
mod stage;
mod watch;
mod worker_killed;
