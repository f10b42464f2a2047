//! A definitive refusal: it ends the consent, unless another has taken over meanwhile.

use patchbay_core::{
    connection::ConnectionStatus,
    entities::credential,
    events::EventKind,
    hints::Signal,
    store::{StoreError, events::NewEvent},
};
use patchbay_providers::ProviderError;
use serde_json::json;

use super::{Turn, Turned, job};
use crate::refresh::RefreshError;

impl Turn<'_> {
    /// Under the lease a refusal ends the connection's consent and parks its work. Of one that
    /// was held up past its lease it says nothing: who took over may hold, and not yet have
    /// committed, the successor of what was refused.
    pub(super) async fn refused(&self, row: &credential::Model, error: ProviderError) -> Turned {
        let (ctx, subject) = (self.ctx, self.subject);
        let failure = error.failure();
        let tx = ctx.store.begin().await.map_err(job)?;
        let held = ctx
            .store
            .lock_connection(&tx, subject.org, subject.connection)
            .await
            .map_err(job)?;
        let Some(held) = held else {
            return Err(RefreshError::Gone);
        };
        let ours = ctx.store.refuse_refresh(&tx, self.lease).await;
        if !ours.map_err(job)? {
            tx.rollback()
                .await
                .map_err(|error| job(StoreError::from(error)))?;
            self.counts.refused_late.add(1);
            return Ok(None);
        }
        if matches!(
            held.status,
            ConnectionStatus::Active | ConnectionStatus::Error | ConnectionStatus::Pending
        ) {
            ctx.store
                .note_failure(&tx, &held, &failure, Some(ConnectionStatus::Expired))
                .await
                .map_err(job)?;
        }
        let parked = ctx
            .store
            .jobs()
            .park_queued(&tx, held.id)
            .await
            .map_err(job)?;
        let event = NewEvent::new(
            held.org_id,
            EventKind::ConnectionCredentialRefused,
            "system",
        )
        .connection(held.id)
        .data(json!({ "failure": failure, "parked_jobs": parked.len() }));
        ctx.store.record_event(&tx, event).await.map_err(job)?;
        tx.commit()
            .await
            .map_err(|error| job(StoreError::from(error)))?;
        self.counts.refused.add(1);
        let signal = Signal::Connection {
            org: held.org_id,
            connection: held.id,
        };
        if let Err(away) = ctx.hints.signal(signal).await {
            tracing::debug!(%away, connection = %held.id, "signal not sent");
        }
        Err(RefreshError::Refused {
            failure,
            version: row.version,
        })
    }
}
