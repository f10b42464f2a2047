//! The closed list of what the activity log can say. Past tense.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum,
)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum EventKind {
    /// An org was made.
    #[serde(rename = "org.created")]
    #[sea_orm(string_value = "org.created")]
    OrgCreated,
    /// The org's data keys were deleted, and with them every secret of it.
    #[serde(rename = "org.secrets_forgotten")]
    #[sea_orm(string_value = "org.secrets_forgotten")]
    OrgSecretsForgotten,
    /// An API key was made.
    #[serde(rename = "api_key.created")]
    #[sea_orm(string_value = "api_key.created")]
    ApiKeyCreated,
    /// A connection was made, not yet tested.
    #[serde(rename = "connection.created")]
    #[sea_orm(string_value = "connection.created")]
    ConnectionCreated,
    /// A connection's credential or config passed its test and is current.
    #[serde(rename = "connection.activated")]
    #[sea_orm(string_value = "connection.activated")]
    ConnectionActivated,
    /// Name, config or switches were changed.
    #[serde(rename = "connection.updated")]
    #[sea_orm(string_value = "connection.updated")]
    ConnectionUpdated,
    /// A test of a new credential or config failed.
    #[serde(rename = "connection.test_failed")]
    #[sea_orm(string_value = "connection.test_failed")]
    ConnectionTestFailed,
    /// The provider refused the credential; work is parked.
    #[serde(rename = "connection.credential_refused")]
    #[sea_orm(string_value = "connection.credential_refused")]
    ConnectionCredentialRefused,
    /// A person withdrew its credential; the connection stays, its work is parked.
    #[serde(rename = "connection.revoked")]
    #[sea_orm(string_value = "connection.revoked")]
    ConnectionRevoked,
    /// Checks of it came to another health.
    #[serde(rename = "connection.health_changed")]
    #[sea_orm(string_value = "connection.health_changed")]
    ConnectionHealthChanged,
    /// A person switched it off.
    #[serde(rename = "connection.disabled")]
    #[sea_orm(string_value = "connection.disabled")]
    ConnectionDisabled,
    /// A person switched it on.
    #[serde(rename = "connection.enabled")]
    #[sea_orm(string_value = "connection.enabled")]
    ConnectionEnabled,
    /// An admin asked for a consent.
    #[serde(rename = "consent.requested")]
    #[sea_orm(string_value = "consent.requested")]
    ConsentRequested,
    /// A consent was refused, or its exchange came to nothing.
    #[serde(rename = "consent.failed")]
    #[sea_orm(string_value = "consent.failed")]
    ConsentFailed,
    /// The org set an OAuth client of its own.
    #[serde(rename = "oauth_client.set")]
    #[sea_orm(string_value = "oauth_client.set")]
    OauthClientSet,
    /// The org's own OAuth client was removed.
    #[serde(rename = "oauth_client.removed")]
    #[sea_orm(string_value = "oauth_client.removed")]
    OauthClientRemoved,
    /// The credential is gone; records stay.
    #[serde(rename = "connection.disconnected")]
    #[sea_orm(string_value = "connection.disconnected")]
    ConnectionDisconnected,
    /// A never-activated connection was removed after a day.
    #[serde(rename = "connection.pruned")]
    #[sea_orm(string_value = "connection.pruned")]
    ConnectionPruned,
    /// A sync was asked for.
    #[serde(rename = "sync.requested")]
    #[sea_orm(string_value = "sync.requested")]
    SyncRequested,
    /// A sync ended with all its records.
    #[serde(rename = "sync.completed")]
    #[sea_orm(string_value = "sync.completed")]
    SyncCompleted,
    /// Something was asked to be done at the provider.
    #[serde(rename = "action.requested")]
    #[sea_orm(string_value = "action.requested")]
    ActionRequested,
    /// It was done.
    #[serde(rename = "action.completed")]
    #[sea_orm(string_value = "action.completed")]
    ActionCompleted,
    /// A schedule was made.
    #[serde(rename = "schedule.created")]
    #[sea_orm(string_value = "schedule.created")]
    ScheduleCreated,
    /// When, how much, or what becomes of missed ticks was changed.
    #[serde(rename = "schedule.updated")]
    #[sea_orm(string_value = "schedule.updated")]
    ScheduleUpdated,
    /// A person stopped a schedule.
    #[serde(rename = "schedule.paused")]
    #[sea_orm(string_value = "schedule.paused")]
    SchedulePaused,
    /// A person let a schedule go on.
    #[serde(rename = "schedule.resumed")]
    #[sea_orm(string_value = "schedule.resumed")]
    ScheduleResumed,
    /// A schedule was deleted.
    #[serde(rename = "schedule.deleted")]
    #[sea_orm(string_value = "schedule.deleted")]
    ScheduleDeleted,
    /// A job gave up.
    #[serde(rename = "job.failed")]
    #[sea_orm(string_value = "job.failed")]
    JobFailed,
    /// A job was set aside because its process died under it three times.
    #[serde(rename = "job.quarantined")]
    #[sea_orm(string_value = "job.quarantined")]
    JobQuarantined,
    /// A person stopped a job.
    #[serde(rename = "job.cancelled")]
    #[sea_orm(string_value = "job.cancelled")]
    JobCancelled,
    /// A person took a dead job out of the dead-letter queue.
    #[serde(rename = "job.discarded")]
    #[sea_orm(string_value = "job.discarded")]
    JobDiscarded,
    /// A person sent many dead jobs back to work.
    #[serde(rename = "dead_jobs.retried")]
    #[sea_orm(string_value = "dead_jobs.retried")]
    DeadJobsRetried,
    /// A person took many dead jobs out of the dead-letter queue.
    #[serde(rename = "dead_jobs.discarded")]
    #[sea_orm(string_value = "dead_jobs.discarded")]
    DeadJobsDiscarded,
    /// How failed work is tried again was changed.
    #[serde(rename = "retry_policy.changed")]
    #[sea_orm(string_value = "retry_policy.changed")]
    RetryPolicyChanged,
    /// From when on something is an alert was changed.
    #[serde(rename = "alert_limits.changed")]
    #[sea_orm(string_value = "alert_limits.changed")]
    AlertLimitsChanged,
    /// Something is wrong that a person should know.
    #[serde(rename = "alert.raised")]
    #[sea_orm(string_value = "alert.raised")]
    AlertRaised,
    /// What an alert told of is over.
    #[serde(rename = "alert.resolved")]
    #[sea_orm(string_value = "alert.resolved")]
    AlertResolved,
    /// A person has taken notice of an alert.
    #[serde(rename = "alert.acknowledged")]
    #[sea_orm(string_value = "alert.acknowledged")]
    AlertAcknowledged,
    /// A person silenced an alert for a time.
    #[serde(rename = "alert.silenced")]
    #[sea_orm(string_value = "alert.silenced")]
    AlertSilenced,
    /// A person said where the org is told of alerts.
    #[serde(rename = "alert_channel.set")]
    #[sea_orm(string_value = "alert_channel.set")]
    AlertChannelSet,
    /// A person removed a channel of alerts.
    #[serde(rename = "alert_channel.removed")]
    #[sea_orm(string_value = "alert_channel.removed")]
    AlertChannelRemoved,
    /// A receiver said that it wants no more alerts.
    #[serde(rename = "alert_channel.disabled")]
    #[sea_orm(string_value = "alert_channel.disabled")]
    AlertChannelDisabled,
    /// A receiver that wanted no more took a test message: it is told of alerts again.
    #[serde(rename = "alert_channel.enabled")]
    #[sea_orm(string_value = "alert_channel.enabled")]
    AlertChannelEnabled,
    /// A person sent a dead job back to work.
    #[serde(rename = "job.retried")]
    #[sea_orm(string_value = "job.retried")]
    JobRetried,
}
