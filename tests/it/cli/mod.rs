//! The `patchbay` binary as a person uses it: real processes, their output, their exit codes.

mod desk;
mod readme;
mod starting;
mod up;
