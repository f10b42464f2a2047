//! Why a body is asked to stop, and what its job then says.

use patchbay_core::failure::{Failure, FailureKind};

/// Why a body is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The job is not ours any more: cancelled, taken over, or the lease could not be renewed.
    Lost,
    /// It ran past its deadline.
    Deadline,
    /// The process is stopping.
    Shutdown,
    /// The process makes room for a job that is to run alone.
    MakingRoom,
}

pub(crate) fn stopped_failure(reason: StopReason) -> Failure {
    match reason {
        StopReason::Lost => Failure::new(
            FailureKind::Internal,
            "the job was cancelled or taken over while it ran",
            "Nothing to do.",
        ),
        StopReason::Deadline => Failure::new(
            FailureKind::Deadline,
            "the job ran past its deadline and was stopped",
            "Ask for less in one job, or raise its timeout.",
        ),
        StopReason::Shutdown => Failure::new(
            FailureKind::Internal,
            "the worker stopped; the job goes on elsewhere",
            "Nothing to do.",
        ),
        StopReason::MakingRoom => Failure::new(
            FailureKind::Internal,
            "the worker made room for a job that has to run alone; this one goes on elsewhere",
            "Nothing to do.",
        ),
    }
}
