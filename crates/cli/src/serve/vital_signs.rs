//! How the running parts show on the admin port: a worker lives while its lease does,
//! a scheduler works while its duties succeed, an API answers for itself.

use std::sync::Arc;

use patchbay_core::{breaker::Breakers, hints::Hints, ids::ProcessId, store::duties::DutyStatus};
use patchbay_scheduler::Reports;
use patchbay_worker::{Metrics, Refresher, jobs::ConsentCounts};
use tokio::sync::watch;

use super::readiness::Running;

/// The one duty that needs Redis. Workers find due jobs without it, only later.
const HINTING: &str = "top_up";

/// The parts that run in this process; an API alone has none of them.
#[derive(Debug, Default)]
pub struct VitalSigns {
    /// The worker's lease and counters.
    pub worker: Option<(watch::Receiver<Option<ProcessId>>, Arc<Metrics>)>,
    /// What became of consents and of refreshes.
    pub grants: Option<(Arc<ConsentCounts>, Arc<Refresher>)>,
    /// Which hosts are left alone because they do not answer.
    pub breakers: Option<Arc<Breakers>>,
    /// What the scheduler's duties last did.
    pub scheduler: Option<Arc<Reports>>,
    /// What is slower without Redis and reports no duty of its own.
    pub hints: Option<Arc<dyn Hints>>,
}

impl Running for VitalSigns {
    fn answer(&self) -> Result<Vec<String>, String> {
        if let Some((lease, _)) = &self.worker
            && lease.borrow().is_none()
        {
            return Err("the database has not taken this process's lease".into());
        }
        let reports = self.scheduler.iter().flat_map(|reports| reports.all());
        let failing = reports
            .filter_map(|(duty, report)| Some((duty, report.last_error?)))
            .map(|(duty, error)| (duty, format!("the duty `{duty}` fails: {error}")));
        let (slower, broken): (Vec<_>, Vec<_>) = failing.partition(|(duty, _)| *duty == HINTING);
        match broken.into_iter().next() {
            Some((_, words)) => Err(words),
            None => Ok(slower.into_iter().map(|(_, words)| words).collect()),
        }
    }

    fn hints(&self) -> Option<Arc<dyn Hints>> {
        self.hints.clone()
    }

    fn duties(&self) -> Vec<DutyStatus> {
        let reports = self.scheduler.iter();
        reports.flat_map(|reports| reports.statuses()).collect()
    }

    fn silent_hosts(&self) -> Vec<(String, String)> {
        let breakers = self.breakers.iter();
        breakers.flat_map(|breakers| breakers.open()).collect()
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let worker = self
            .worker
            .iter()
            .flat_map(|(_, metrics)| metrics.numbers());
        let mut counters: Vec<(String, u64)> = worker
            .map(|(name, number)| (format!("patchbay_worker_{name}_total"), number))
            .collect();
        if let Some((consents, refresher)) = &self.grants {
            let consents = consents.numbers().into_iter();
            counters.extend(consents.map(|(name, n)| (format!("patchbay_{name}_total"), n)));
            let refreshes = refresher.counts().numbers().into_iter();
            counters
                .extend(refreshes.map(|(name, n)| (format!("patchbay_refresh_{name}_total"), n)));
        }
        if let Some(breakers) = &self.breakers {
            let numbers = breakers.counts().numbers().into_iter();
            counters.extend(numbers.map(|(name, n)| (format!("patchbay_{name}_total"), n)));
        }
        for (duty, report) in self.scheduler.iter().flat_map(|reports| reports.all()) {
            let duty = duty.replace(['-', ' '], "_");
            counters.push((format!("patchbay_scheduler_{duty}_done_total"), report.done));
            counters.push((
                format!("patchbay_scheduler_{duty}_errors_total"),
                report.errors,
            ));
        }
        counters
    }
}
