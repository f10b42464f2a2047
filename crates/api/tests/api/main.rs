//! The API through its router, on a SQLite database of each test's own. What is
//! the same on PostgreSQL is tested here; what is not, in `tests/`.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in what its module shares"
)]

mod access;
mod bad_input;
mod connections;
mod desk;
mod document;
mod idempotency;
mod jobs;
mod progress;
mod records;
mod sync;
