//! The `patchbay` binary as a person uses it: real processes, their output, their exit codes.

mod browser;
mod channels;
mod completions;
mod desk;
mod health;
mod help;
mod keys;
mod readme;
mod redis_away;
mod schedules;
mod starting;
mod stopping;
mod up;
