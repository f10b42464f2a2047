//! The stand-ins, seen through their ports.

mod catalog;
mod changes;
mod csv;
mod drive;
mod faults;
mod http;
mod oauth;
mod orders;
mod rest;
mod strictness;

use chrono::{TimeZone, Utc};
use patchbay_sandbox::{Clock, Dataset, RunningSandbox, Sandbox, SandboxOptions, Sizes};

/// A small merchant, with a clock that stands still.
pub async fn small() -> RunningSandbox {
    start(Dataset::seeded(
        7,
        &Sizes {
            items: 250,
            orders: 120,
            customers: 130,
            locations: 12,
            ..Sizes::default()
        },
    ))
    .await
}

pub async fn start(dataset: Dataset) -> RunningSandbox {
    let now = Utc
        .with_ymd_and_hms(2026, 1, 20, 9, 0, 0)
        .single()
        .expect("a time");
    let options = SandboxOptions {
        clock: Clock::fixed(now),
        ..SandboxOptions::with(dataset)
    };
    Sandbox::start(options).await.expect("a free port")
}
