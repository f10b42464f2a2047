//! Connecting by consent, through HTTP against the real router, a real worker and strict or
//! hostile providers.

mod answers;
mod browser;
mod certified;
mod desk;
mod flow;
mod generic;
mod hostile;
mod plan;
mod query;
mod state;
mod ways_back;
