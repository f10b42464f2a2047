//! What the activity log says of a connection's health: what people saw and see now, never what
//! checks alone say.

use sea_orm::DatabaseTransaction;
use serde_json::json;

use crate::{
    entities::connection,
    events::EventKind,
    failure::Failure,
    store::{Store, StoreError, events::NewEvent},
};

impl Store {
    /// A row became another: writes the event if the health that people see did too. Nothing
    /// that its connection's checks came to: `record_checks` tells of those itself.
    ///
    /// # Errors
    /// The database.
    pub async fn tell_health(
        &self,
        tx: &DatabaseTransaction,
        before: &connection::Model,
        after: &connection::Model,
        failure: Option<&Failure>,
        actor: &str,
    ) -> Result<(), StoreError> {
        let (from, to) = (before.shown_health(), after.shown_health());
        if from == to {
            return Ok(());
        }
        let event = NewEvent::new(after.org_id, EventKind::ConnectionHealthChanged, actor)
            .connection(after.id)
            .data(json!({ "from": from, "to": to, "failure": failure }));
        self.record_event(tx, event).await?;
        Ok(())
    }
}
