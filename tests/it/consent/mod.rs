//! Connecting by consent, through HTTP against the real router, a real worker and strict or
//! hostile providers.

mod browser;
mod desk;
mod flow;
