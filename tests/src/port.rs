//! Ports for servers of a test.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
};

/// Below the range from which the kernel serves outgoing connections (32768 and up), so that a
/// server can be killed and started again on its port.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;
/// Distance between the starting points of two neighbouring process ids.
const STRIDE: u32 = 16;

/// A TCP port of the loopback address on which nobody listens.
///
/// Each process walks from its own starting point, so tests running side by side do not
/// pick the same port between the look and the use.
///
/// # Panics
/// When all 12,000 ports are taken.
#[must_use]
pub fn free_port() -> u16 {
    static STEP: AtomicU32 = AtomicU32::new(0);
    (0..COUNT)
        .map(|_| {
            let step = STEP.fetch_add(1, Ordering::Relaxed);
            let offset = std::process::id().wrapping_mul(STRIDE).wrapping_add(step) % COUNT;
            u16::try_from(FIRST + offset).expect("20,000 + 12,000 fits")
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("no free port from 20000 to 31999: something leaks servers")
}
