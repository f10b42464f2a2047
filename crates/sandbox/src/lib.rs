//! Strict local stand-ins for the providers' APIs, for the demo, tests and benchmarks.
//!
//! A stand-in refuses whatever the real API refuses (missing version header, unknown
//! fields, cursors of another query, ...), so a client that passes here does not depend
//! on leniency. It can also misbehave on demand: see [`faults`]. Data comes from a seed
//! or from a file of real order lines, and changes on request: see [`square::data`].
//!
//! ```no_run
//! use patchbay_sandbox::square::{DEFAULT_MERCHANT, data::ChangeKind};
//! use patchbay_sandbox::{Dataset, Effect, Fault, Sandbox, SandboxOptions, Sizes};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let dataset = Dataset::seeded(1, &Sizes::default());
//! let sandbox = Sandbox::start(SandboxOptions::with(dataset)).await?;
//! let base = sandbox.square_url(); // http://127.0.0.1:PORT/square
//!
//! let burst = Effect::RateLimited { retry_after: None };
//! sandbox.faults.add(Fault::at("POST /square/v2/orders/search", burst).times(3))?;
//! sandbox.square.change(DEFAULT_MERCHANT, ChangeKind::ItemDeleted, None)?;
//! assert_eq!(sandbox.requests.count("POST /square/v2/catalog/search"), 0);
//! sandbox.stop().await;
//! # let _: String = base;
//! # Ok(())
//! # }
//! ```
//!
//! Must not: know anything of Patchbay itself (it depends on no other crate of the
//! workspace), listen anywhere but on loopback, or write tokens into its request log.

pub mod args;
pub mod clock;
mod control;
pub mod faults;
pub mod google;
pub mod oauth;
pub mod requests;
mod running;
pub mod square;

pub use args::{SandboxArgs, run};
pub use clock::Clock;
pub use faults::{Effect, Fault, Faults};
pub use requests::{Request, RequestLog, Totals};
pub use running::{RunningSandbox, Sandbox, SandboxOptions, StartError};
pub use square::data::{CsvError, Dataset, Sizes};
