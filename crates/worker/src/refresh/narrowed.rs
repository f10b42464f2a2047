//! A grant that comes back from a refresh with fewer scopes than it had: the account took some
//! back, and what needs them is told as refused. Work that needs none of them goes on.

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

/// A connection, its row held, and what does not work with it any more.
#[derive(Debug)]
pub(super) struct Narrowed {
    row: connection::Model,
    lost: Vec<String>,
    refused: Shortfall,
}

impl Narrowed {
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
        let (Some(mut lost), Some(has)) = (had, granted.scopes.as_ref()) else {
            return Ok(None);
        };
        lost.retain(|scope| !has.contains(scope));
        let Some(provider) = ctx.providers.get(&subject.provider) else {
            return Ok(None);
        };
        let mut refused = provider.manifest().shortfall(has);
        refused.retain(|_, scopes| scopes.iter().any(|scope| lost.contains(scope)));
        if refused.is_empty() {
            return Ok(None);
        }
        let row = ctx
            .store
            .lock_connection(tx, subject.org, subject.connection)
            .await?;
        Ok(row.map(|row| Self { row, lost, refused }))
    }

    /// Writes it down; what was refused before stays so.
    pub(super) async fn note(
        mut self,
        ctx: &Context,
        tx: &DatabaseTransaction,
    ) -> Result<(), StoreError> {
        let before = self.row.capabilities_refused.clone();
        let before: Shortfall = serde_json::from_value(before).unwrap_or_default();
        for (capability, scopes) in before {
            self.refused.entry(capability).or_insert(scopes);
        }
        let failure = Failure {
            next_action: Some(NextAction::of(NextActionKind::Reconnect)),
            ..Failure::new(
                FailureKind::Scope,
                format!("The account took back {}.", self.lost.join(", ")),
                "Connect again and grant it, or switch off what is not needed.",
            )
        };
        ctx.store
            .refuse_capabilities(tx, &self.row, &self.refused, &failure)
            .await?;
        Ok(())
    }
}
