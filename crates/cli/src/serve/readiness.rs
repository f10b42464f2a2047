//! Whether a process can do its work, and if not, why: what `/readyz` and `/metrics`
//! of the admin port say.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use patchbay_core::{hints::Hints, store::duties::DutyStatus};

/// Shared by the process and its admin port.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

/// A running process as its admin port asks it.
pub trait Running: Send + Sync {
    /// `Ok` when it does its work, with what makes it slower; else why it does not.
    fn answer(&self) -> Result<Vec<String>, String>;

    /// Counters since its start, by name.
    fn counters(&self) -> Vec<(String, u64)>;

    /// Provider and origin of hosts that are left alone because they do not answer.
    fn silent_hosts(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The carrier whose absence makes it slower; `None` where its duties tell of that.
    fn hints(&self) -> Option<Arc<dyn Hints>> {
        None
    }

    /// What its duties last did; empty where it has none.
    fn duties(&self) -> Vec<DutyStatus> {
        Vec::new()
    }
}

#[derive(Clone, Default)]
enum State {
    #[default]
    Starting,
    Waiting(String),
    Running(Arc<dyn Running>),
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("Starting"),
            Self::Waiting(why) => write!(f, "Waiting({why})"),
            Self::Running(_) => f.write_str("Running"),
        }
    }
}

impl Readiness {
    /// It runs; from now on it answers for itself.
    pub fn running(&self, process: impl Running + 'static) {
        self.set(State::Running(Arc::new(process)));
    }

    /// It waits for something.
    pub fn waiting(&self, why: &str) {
        self.set(State::Waiting(why.to_owned()));
    }

    /// `Ok` when it works, with what makes it slower; else why it does not.
    pub fn answer(&self) -> Result<Vec<String>, String> {
        match self.state() {
            State::Running(process) => process.answer(),
            State::Starting => Err("starting".into()),
            State::Waiting(why) => Err(why),
        }
    }

    /// The carrier whose absence makes the process slower; none before it runs.
    pub fn hints(&self) -> Option<Arc<dyn Hints>> {
        match self.state() {
            State::Running(process) => process.hints(),
            State::Starting | State::Waiting(_) => None,
        }
    }

    /// What the process counts; nothing before it runs.
    pub fn counters(&self) -> Vec<(String, u64)> {
        match self.state() {
            State::Running(process) => process.counters(),
            State::Starting | State::Waiting(_) => Vec::new(),
        }
    }

    /// What the duties of the process last did; nothing before it runs.
    pub fn duties(&self) -> Vec<DutyStatus> {
        match self.state() {
            State::Running(process) => process.duties(),
            State::Starting | State::Waiting(_) => Vec::new(),
        }
    }

    /// Provider and origin of hosts that are left alone; none before it runs.
    pub fn silent_hosts(&self) -> Vec<(String, String)> {
        match self.state() {
            State::Running(process) => process.silent_hosts(),
            State::Starting | State::Waiting(_) => Vec::new(),
        }
    }

    fn state(&self) -> State {
        self.0.lock().expect("no holder panics").clone()
    }

    fn set(&self, state: State) {
        *self.0.lock().expect("no holder panics") = state;
    }
}
