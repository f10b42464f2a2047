//! Connecting by consent, through HTTP against the real router, a real worker and strict or
//! hostile providers.

mod answers;
pub mod browser;
mod certified;
pub mod desk;
mod flow;
mod generic;
mod granted;
mod host_away;
mod hostile;
mod less_granted;
mod lives;
mod long_lived;
mod plan;
mod query;
mod reconnect;
mod state;
mod ways_back;
