//! The `patchbay` binary as a person uses it: real processes, their output, their exit codes.

mod browser;
mod channels;
mod desk;
mod health;
mod keys;
mod readme;
mod schedules;
mod starting;
mod up;
