//! Workers: the processes that run jobs and the only ones that talk to providers.
//!
//! A job travels: hint or table -> claim -> body (`jobs/`, one file per kind) ->
//! settlement. apalis runs the bodies; the source it polls and everything about
//! leases is ours.
//!
//! It must not serve HTTP and must not know the scheduler.

mod alone;
mod backend;
mod book;
mod breaker;
pub mod clients;
pub mod context;
mod deaf;
mod driver;
pub mod job_log;
pub mod jobs;
pub mod lease;
pub mod metrics;
pub mod refresh;
pub mod run;
pub mod silence;
mod stop_reason;
mod supervise;
pub mod worker;

pub use clients::OauthClients;
pub use context::Context;
pub use lease::{Connect, own_connection};
pub use metrics::Metrics;
pub use refresh::Refresher;
pub use run::{FenceError, JobRun, StopReason};
pub use silence::{Manners, Silence};
pub use worker::{STOP_WITHIN, WorkerDeps, WorkerError, run};
