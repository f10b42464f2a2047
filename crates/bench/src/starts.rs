//! When a body starts: the worker opens a span `job` right before it, and this layer
//! writes down when. So the product needs no hook for the benchmark.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result};
use patchbay_core::ids::JobId;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// The starts of bodies in this process.
#[derive(Debug, Default)]
pub struct Starts {
    wanted: AtomicBool,
    at: Mutex<HashMap<JobId, Instant>>,
}

impl Starts {
    /// Forgets what was, and writes down what comes, or no more.
    pub fn watch(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
        self.at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// When the body of this job started.
    pub fn of(&self, job: JobId) -> Option<Instant> {
        self.at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&job)
            .copied()
    }

    /// How many bodies have started.
    pub fn count(&self) -> usize {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Starts logging to a file, at the product's own level so that logging costs what it
/// costs there, and returns the watch over starts.
pub fn install(log: &Path) -> Result<Arc<Starts>> {
    let starts = Arc::new(Starts::default());
    let file = std::fs::File::create(log).with_context(|| format!("making {}", log.display()))?;
    let filter = EnvFilter::new(
        "sqlx=warn,sea_orm=warn,sea_orm_migration=warn,hyper=warn,h2=warn,apalis=warn,info",
    );
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(Mutex::new(file));
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(Watch(Arc::clone(&starts)).with_filter(EnvFilter::new("patchbay_worker=info")))
        .try_init()?;
    Ok(starts)
}

struct Watch(Arc<Starts>);

impl<S: Subscriber> Layer<S> for Watch {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if span.metadata().name() != "job" || !self.0.wanted.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        let mut id = ReadId(None);
        span.record(&mut id);
        if let Some(job) = id.0 {
            self.0
                .at
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(job, now);
        }
    }
}

struct ReadId(Option<JobId>);

impl Visit for ReadId {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "id" {
            self.0 = format!("{value:?}").parse().ok();
        }
    }
}
