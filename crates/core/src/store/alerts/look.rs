//! One look at everything that alerts tell of.

use chrono::{DateTime, Utc};
use sea_orm::Iterable;

use super::{
    super::{Store, StoreError},
    causes::{Cause, DeadPlace},
};
use crate::{
    alerts::{AlertKind, Limits},
    ids::ConnectionId,
};

/// Causes of one kind that are looked at together.
const PAGE: u32 = 200;
/// Pages of one kind in one look; what is left comes with the next.
const PAGES: u32 = 10;

/// Where the next look goes on, when there was more than one look takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertWalk {
    connection: Option<ConnectionId>,
    dead: DeadPlace,
}

impl Store {
    /// Raises what is wrong and resolves what is over; says how many alerts that changed.
    /// Any number of schedulers do it at once.
    ///
    /// # Errors
    /// The database. What was done stays done.
    pub async fn look_for_alerts(
        &self,
        walk: &mut AlertWalk,
        limits: Limits,
    ) -> Result<u64, StoreError> {
        let now = self.jobs().now().await?;
        // What is over first: a cause that turned into another is one alert then, not two.
        let mut changed = 0;
        for kind in AlertKind::iter() {
            for _ in 0..PAGES {
                let resolved = self.resolve_alerts(kind, limits, now, PAGE).await?;
                changed += resolved;
                if resolved < u64::from(PAGE) {
                    break;
                }
            }
        }
        changed += self.look_at_connections(walk, limits, now).await?;
        changed += self.look_at_dead_jobs(walk, limits, now).await?;
        let late = self.orgs_with_late_schedules(now, limits.schedule_lag);
        changed += self.raise_in_pages(&late.await?, limits, now).await?;
        let old = self.orgs_with_old_jobs(now, limits.queue_age);
        changed += self.raise_in_pages(&old.await?, limits, now).await?;
        Ok(changed)
    }

    async fn look_at_connections(
        &self,
        walk: &mut AlertWalk,
        limits: Limits,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut raised = 0;
        for _ in 0..PAGES {
            let (causes, last) = self.wrong_connections(walk.connection, PAGE).await?;
            raised += self.raise_alerts(&causes, limits, now).await?;
            let is_last = u32::try_from(causes.len()).is_ok_and(|found| found < PAGE);
            walk.connection = if is_last { None } else { last };
            if is_last {
                break;
            }
        }
        Ok(raised)
    }

    async fn look_at_dead_jobs(
        &self,
        walk: &mut AlertWalk,
        limits: Limits,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut causes = Vec::new();
        for _ in 0..PAGE * PAGES {
            match self.next_dead(walk.dead).await? {
                Some((cause, place)) => {
                    causes.push(cause);
                    walk.dead = place;
                }
                None => {
                    walk.dead = DeadPlace::default();
                    break;
                }
            }
        }
        self.raise_in_pages(&causes, limits, now).await
    }

    async fn raise_in_pages(
        &self,
        causes: &[Cause],
        limits: Limits,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut raised = 0;
        for page in causes.chunks(usize::try_from(PAGE).unwrap_or(1)) {
            raised += self.raise_alerts(page, limits, now).await?;
        }
        Ok(raised)
    }
}
