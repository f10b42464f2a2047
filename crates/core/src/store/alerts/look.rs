//! One look at everything that alerts tell of.

use chrono::{DateTime, Utc};
use sea_orm::Iterable;

use super::{
    super::{Store, StoreError},
    causes::{Cause, DeadPlace},
};
use crate::{
    alerts::AlertKind,
    ids::{AlertId, ConnectionId, OrgId},
};

/// Causes of one kind that are looked at together.
const PAGE: u32 = 200;
/// Pages of one kind in one look; what is left comes with the next.
const PAGES: u32 = 10;
/// Pages of connections in one look, each of a thousand that failed at least once: those of an
/// outage of 200,000 are through after ten looks.
const CONNECTION_PAGES: u32 = 20;
/// A look that has found so many connections to be wrong leaves the next page to the next.
const CAUSES: usize = 2_000;

/// Where the next look goes on, when there was more than one look takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertWalk {
    connection: Option<ConnectionId>,
    dead: DeadPlace,
}

/// An alert that was raised or resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedAlert {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub alert: AlertId,
}

impl Store {
    /// Raises what is wrong and resolves what is over; says which alerts that changed. Any
    /// number of schedulers do it at once.
    ///
    /// # Errors
    /// The database. What was done stays done.
    pub async fn look_for_alerts(
        &self,
        walk: &mut AlertWalk,
    ) -> Result<Vec<ChangedAlert>, StoreError> {
        let now = self.jobs().now().await?;
        // What is over first: a cause that turned into another is one alert then, not two.
        let mut changed = Vec::new();
        for kind in AlertKind::iter() {
            for _ in 0..PAGES {
                let (resolved, is_full) = self.resolve_alerts(kind, now, PAGE).await?;
                changed.extend(resolved);
                if !is_full {
                    break;
                }
            }
        }
        changed.extend(self.look_at_connections(walk, now).await?);
        changed.extend(self.look_at_dead_jobs(walk, now).await?);
        let late = self.orgs_with_late_schedules(now).await?;
        changed.extend(self.raise_in_pages(&late, now).await?);
        let old = self.orgs_with_old_jobs(now).await?;
        changed.extend(self.raise_in_pages(&old, now).await?);
        Ok(changed)
    }

    async fn look_at_connections(
        &self,
        walk: &mut AlertWalk,
        now: DateTime<Utc>,
    ) -> Result<Vec<ChangedAlert>, StoreError> {
        let (mut raised, mut found) = (Vec::new(), 0);
        for _ in 0..CONNECTION_PAGES {
            let (causes, last) = self.wrong_connections(walk.connection).await?;
            raised.extend(self.raise_in_pages(&causes, now).await?);
            walk.connection = last;
            found += causes.len();
            if last.is_none() || found >= CAUSES {
                break;
            }
        }
        Ok(raised)
    }

    async fn look_at_dead_jobs(
        &self,
        walk: &mut AlertWalk,
        now: DateTime<Utc>,
    ) -> Result<Vec<ChangedAlert>, StoreError> {
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
        self.raise_in_pages(&causes, now).await
    }

    async fn raise_in_pages(
        &self,
        causes: &[Cause],
        now: DateTime<Utc>,
    ) -> Result<Vec<ChangedAlert>, StoreError> {
        let mut raised = Vec::new();
        for page in causes.chunks(usize::try_from(PAGE).unwrap_or(1)) {
            raised.extend(self.raise_alerts(page, now).await?);
        }
        Ok(raised)
    }
}
