//! The provider `smtp` and the jobs that act, against a mail server that was not written here
//! (aiosmtpd), through HTTP against the real router and a real worker.

mod acting;
mod alerting;
mod breaker;
mod encryption;
mod limits;
mod once;
mod post_office;
mod words;
