//! What the duties of schedulers report of themselves, for operators: each scheduler
//! writes its own rows, everyone reads those of the processes that live.

pub(in crate::store) mod lag;

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::OnConflict,
};

use super::{Store, StoreError};
use crate::{
    entities::{
        duty_report::{ActiveModel, Column, Entity, Model},
        process,
    },
    ids::ProcessId,
};

/// What a duty did since its process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DutyStatus {
    /// Its name.
    pub duty: String,
    /// When its last run began.
    pub last_run_at: DateTime<Utc>,
    /// When its last run that worked began.
    pub last_success_at: Option<DateTime<Utc>>,
    /// How long the last run took.
    pub took: Duration,
    /// How much later than planned the last run began.
    pub late: Duration,
    /// How long the oldest row that is due for it has waited; `None` where it has no rows
    /// that are due at a time, or could not look.
    pub behind: Option<Duration>,
    /// Runs in all.
    pub runs: u64,
    /// Rows, hints or jobs its runs dealt with in all.
    pub done: u64,
    /// Runs that failed in all.
    pub errors: u64,
    /// What the last run failed with, if it did.
    pub last_error: Option<String>,
}

/// A living process with duties.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerStatus {
    /// The process.
    pub process: process::Model,
    /// Whether its lease still runs; a dead one is shown until it is buried.
    pub alive: bool,
    /// Its duties by name, with the time of the report.
    pub duties: Vec<(DutyStatus, DateTime<Utc>)>,
}

impl Store {
    /// Writes what the duties of this process did.
    ///
    /// # Errors
    /// The database.
    pub async fn report_duties(
        &self,
        me: ProcessId,
        duties: Vec<DutyStatus>,
    ) -> Result<(), StoreError> {
        if duties.is_empty() {
            return Ok(());
        }
        let now = self.jobs().now().await?;
        let rows = duties.into_iter().map(|duty| ActiveModel {
            process_id: Set(me),
            duty: Set(duty.duty),
            last_run_at: Set(duty.last_run_at),
            last_success_at: Set(duty.last_success_at),
            took_ms: Set(millis(duty.took)),
            late_ms: Set(millis(duty.late)),
            behind_ms: Set(duty.behind.map(millis)),
            runs: Set(count(duty.runs)),
            done: Set(count(duty.done)),
            errors: Set(count(duty.errors)),
            last_error: Set(duty.last_error),
            reported_at: Set(now),
        });
        let again = OnConflict::columns([Column::ProcessId, Column::Duty])
            .update_columns([
                Column::LastRunAt,
                Column::LastSuccessAt,
                Column::TookMs,
                Column::LateMs,
                Column::BehindMs,
                Column::Runs,
                Column::Done,
                Column::Errors,
                Column::LastError,
                Column::ReportedAt,
            ])
            .to_owned();
        Entity::insert_many(rows)
            .on_conflict(again)
            .exec_without_returning(self.db())
            .await?;
        Ok(())
    }

    /// Every process that does duties and has not ended, the oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn scheduler_statuses(&self) -> Result<Vec<SchedulerStatus>, StoreError> {
        let now = self.jobs().now().await?;
        let processes = process::Entity::find()
            .filter(process::Column::Kind.is_in(["scheduler", "up"]))
            .filter(process::Column::EndedAt.is_null())
            .order_by_asc(process::Column::Id)
            .all(self.db())
            .await?;
        let reports = Entity::find()
            .filter(Column::ProcessId.is_in(processes.iter().map(|process| process.id)))
            .order_by_asc(Column::Duty)
            .all(self.db())
            .await?;
        let of = |process: process::Model| SchedulerStatus {
            alive: process.lease_until > now,
            duties: reports
                .iter()
                .filter(|report| report.process_id == process.id)
                .map(|report| (status(report), report.reported_at))
                .collect(),
            process,
        };
        Ok(processes.into_iter().map(of).collect())
    }
}

fn status(row: &Model) -> DutyStatus {
    DutyStatus {
        duty: row.duty.clone(),
        last_run_at: row.last_run_at,
        last_success_at: row.last_success_at,
        took: duration(row.took_ms),
        late: duration(row.late_ms),
        behind: row.behind_ms.map(duration),
        runs: row.runs.unsigned_abs(),
        done: row.done.unsigned_abs(),
        errors: row.errors.unsigned_abs(),
        last_error: row.last_error.clone(),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
