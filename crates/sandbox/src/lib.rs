//! Strict local stand-ins for the providers' APIs, for the demo, tests and benchmarks.
//!
//! A stand-in refuses whatever the real API refuses (missing version header, unknown
//! fields, cursors of another query, ...), so a client that passes here does not depend
//! on leniency. It can also misbehave on demand: see [`faults`]. Data comes from a seed
//! or from a file of real order lines, and changes on request: see [`square::data`].
//!
//! Must not: know anything of Patchbay itself (it depends on no other crate of the
//! workspace), listen anywhere but on loopback, or write tokens into its request log.

pub mod args;
pub mod clock;
mod control;
pub mod faults;
pub mod requests;
mod running;
pub mod square;

pub use args::{SandboxArgs, run};
pub use clock::Clock;
pub use faults::{Effect, Fault, Faults};
pub use requests::{Request, RequestLog, Totals};
pub use running::{RunningSandbox, Sandbox, SandboxOptions, StartError};
pub use square::data::{CsvError, Dataset, Sizes};
