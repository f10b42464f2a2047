//! Workers: the processes that run jobs and the only ones that talk to providers.
//!
//! A job travels: hint or table -> claim -> body (`jobs/`, one file per kind) ->
//! settlement. apalis runs the bodies; the source it polls and everything about
//! leases is ours.
//!
//! It must not serve HTTP and must not know the scheduler.

pub mod context;
pub mod job_log;
pub mod jobs;
pub mod run;

pub use context::Context;
pub use run::{FenceError, JobRun, StopReason};
