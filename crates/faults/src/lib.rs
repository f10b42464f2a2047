//! Fault tests: the product's binary, real PostgreSQL and real Redis, started as children,
//! killed, stopped and starved from outside, and a checker that reads what was promised to
//! clients beside what is in the database and what happened abroad.
//!
//! The product has no fail point. Where a process dies is decided by what its jobs tell the
//! world abroad ([`abroad`]) and by the wires to its servers ([`proxy`]); bugs that the
//! checker must catch are seeded on the wire as well ([`mutation`]). All that the product has
//! for it are drills, in debug builds: no-op jobs that take steps with effects.
//!
//! It must not use code of the product, or a fault in both would look like agreement.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

pub mod abroad;
pub mod checker;
pub mod client;
pub mod faults;
pub mod findings;
pub mod load;
pub mod mutation;
pub mod outcome;
pub mod plan;
pub mod proxy;
pub mod stage;
mod waiting;
pub mod witness;

/// The product's binary, which stands beside ours.
///
/// # Errors
/// It is not built.
pub fn binary() -> Result<PathBuf> {
    let ours = std::env::current_exe()?;
    let folder = ours.parent().context("a binary stands in a folder")?;
    let folder = if folder.ends_with("deps") {
        folder.parent().context("`deps` stands in a folder")?
    } else {
        folder
    };
    let binary = folder.join("patchbay");
    ensure!(
        binary.exists(),
        "{} is not built: run `cargo build --workspace`",
        binary.display()
    );
    Ok(binary)
}

/// What every run needs first.
///
/// # Errors
/// Another TLS library came before.
pub fn prepare() -> Result<()> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        rustls::crypto::ring::default_provider()
            .install_default()
            .map_err(|_| anyhow::anyhow!("another TLS provider was installed before ring"))?;
    }
    Ok(())
}
