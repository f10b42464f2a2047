//! A grant that comes back from a refresh with other scopes than it had. What the account took
//! back is told as refused, what it gave is not any more; work that needs none of it goes on.

use patchbay_core::{
    connection::Shortfall,
    entities::{connection, credential},
    failure::{Failure, FailureKind, NextAction, NextActionKind},
    store::StoreError,
};
use patchbay_providers::oauth::Grant;
use sea_orm::DatabaseTransaction;

use super::flight::Subject;
use crate::context::Context;

/// A connection, its row held, and what does not work with it from now on.
#[derive(Debug)]
pub(super) struct ChangedScopes {
    row: connection::Model,
    refused: Shortfall,
    /// What the account took back, where something needs it.
    lost: Vec<String>,
}

impl ChangedScopes {
    /// Compares what was granted with what stands. The connection's row is held before the
    /// credential's is written, as everywhere.
    pub(super) async fn hold(
        ctx: &Context,
        tx: &DatabaseTransaction,
        subject: &Subject,
        before: &credential::Model,
        granted: &Grant,
    ) -> Result<Option<Self>, StoreError> {
        let had: Option<Vec<String>> = before
            .scopes
            .clone()
            .and_then(|scopes| serde_json::from_value(scopes).ok());
        let (Some(had), Some(has)) = (had, granted.scopes.as_ref()) else {
            return Ok(None);
        };
        let Some(provider) = ctx.providers.get(&subject.provider) else {
            return Ok(None);
        };
        let gained = has.iter().any(|scope| !had.contains(scope));
        let mut lost: Vec<String> = had;
        lost.retain(|scope| !has.contains(scope));
        let mut newly_refused = provider.manifest().shortfall(has);
        newly_refused.retain(|_, scopes| scopes.iter().any(|scope| lost.contains(scope)));
        if newly_refused.is_empty() {
            lost.clear();
        }
        if lost.is_empty() && !gained {
            return Ok(None);
        }
        let row = ctx
            .store
            .lock_connection(tx, subject.org, subject.connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut refused: Shortfall =
            serde_json::from_value(row.capabilities_refused.clone()).unwrap_or_default();
        refused.retain(|_, scopes| {
            scopes.retain(|scope| !has.contains(scope));
            !scopes.is_empty()
        });
        refused.extend(newly_refused);
        Ok(Some(Self { row, refused, lost }))
    }

    /// Writes it down.
    pub(super) async fn note(
        self,
        ctx: &Context,
        tx: &DatabaseTransaction,
    ) -> Result<(), StoreError> {
        let failure = (!self.lost.is_empty()).then(|| Failure {
            next_action: Some(NextAction::of(NextActionKind::Reconnect)),
            ..Failure::new(
                FailureKind::Scope,
                format!("The account took back {}.", self.lost.join(", ")),
                "Connect again and grant it, or switch off what is not needed.",
            )
        });
        ctx.store
            .set_refused(tx, &self.row, &self.refused, failure.as_ref())
            .await?;
        Ok(())
    }
}
