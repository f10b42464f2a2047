//! How much of its limits per hour and day a connection has used.

use patchbay_core::{entities::connection, store::quotas::Usage};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{problem::Problem, state::Api};

/// What was counted in the present hour and the present day (UTC).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub struct UsageView {
    /// What is counted: `e-mails`.
    unit: String,
    /// Of the present hour.
    hour: WindowView,
    /// Of the present day.
    day: WindowView,
}

/// One window.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageWindow)]
pub struct WindowView {
    /// So much was used.
    used: u32,
    /// Of so much; null: no limit is set.
    limit: Option<u32>,
    /// When it begins anew.
    resets_at: chrono::DateTime<chrono::Utc>,
}

impl From<Usage> for WindowView {
    fn from(usage: Usage) -> Self {
        Self {
            used: usage.used,
            limit: usage.limit,
            resets_at: usage.resets_at,
        }
    }
}

/// The usage of a connection whose provider counts; `None` of others.
pub(super) async fn of(api: &Api, row: &connection::Model) -> Result<Option<UsageView>, Problem> {
    let provider = api.providers.get(&row.provider);
    let Some(quota) = provider.and_then(|provider| provider.manifest().quota.as_ref()) else {
        return Ok(None);
    };
    let now = api.store.jobs().now().await?;
    let limits = quota.limits(&row.config);
    let whose = (row.org_id, row.id);
    let [hour, day] = api
        .store
        .quota_usage(api.store.db(), whose, limits, now)
        .await?;
    Ok(Some(UsageView {
        unit: quota.unit.clone(),
        hour: hour.into(),
        day: day.into(),
    }))
}
