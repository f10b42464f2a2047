//! Consents: asked for by a caller, opened by one browser, consumed by one callback, ended
//! by one exchange. What stands in addresses and cookies is stored hashed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait,
    sea_query::{Condition, Expr, ExprTrait},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Store, StoreError};
use crate::{
    entities::consent::{ActiveModel, Column, Entity, Model},
    failure::Failure,
    ids::{ConnectionId, ConsentId, JobId, OrgId},
    job::SealedArgs,
    secret::Secret,
};

/// A consent must have come back by then.
pub const CONSENT_MINUTES: i64 = 10;
/// An ended one is kept for callers who still ask how it went.
const KEPT_HOURS: i64 = 24;

/// A random text that is shown once: a ticket, a state, a browser's cookie. 256 bits.
#[must_use]
pub fn one_time_text() -> Secret {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// What a consent's row keeps of such a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneTime {
    /// In the address that the caller opens.
    Ticket,
    /// At the provider and back.
    State,
    /// In the browser's cookie.
    Browser,
}

impl OneTime {
    /// The stored form. Plain SHA-256: 256 random bits cannot be guessed from it.
    #[must_use]
    pub fn hash(self, text: &str) -> Vec<u8> {
        let purpose: &[u8] = match self {
            Self::Ticket => b"patchbay consent ticket\0",
            Self::State => b"patchbay consent state\0",
            Self::Browser => b"patchbay consent browser\0",
        };
        let mut hasher = Sha256::new();
        hasher.update(purpose);
        hasher.update(text.as_bytes());
        hasher.finalize().to_vec()
    }
}

/// A consent to be asked for.
#[derive(Debug, Clone)]
pub struct NewConsent {
    /// Whose.
    pub org: OrgId,
    /// Key of the provider.
    pub provider: String,
    /// The connection that is connected again, where there is one.
    pub connection: Option<ConnectionId>,
    /// Name of the connection it makes.
    pub name: String,
    /// Checked against the manifest's schema.
    pub config: Value,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// The client it is asked for with.
    pub client_id: String,
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
    /// Where the browser goes at the end, in place of our page.
    pub return_url: Option<String>,
    /// Hash of the ticket.
    pub ticket_hash: Vec<u8>,
    /// Who asked.
    pub requested_by: String,
    /// W3C `traceparent` of the request.
    pub trace_context: Option<String>,
}

/// What the opening of a consent binds it to.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Hash of the state that goes to the provider.
    pub state_hash: Vec<u8>,
    /// Hash of the browser's cookie.
    pub browser_hash: Vec<u8>,
    /// The PKCE verifier, sealed to the exchange job.
    pub verifier: Option<SealedArgs>,
}

impl Store {
    /// Makes a consent that waits for its browser.
    ///
    /// # Errors
    /// The database.
    pub async fn insert_consent(
        &self,
        tx: &DatabaseTransaction,
        new: NewConsent,
    ) -> Result<Model, StoreError> {
        let now = self.clock().now();
        let row = Model {
            id: ConsentId::new(self.clock()),
            org_id: new.org,
            provider: new.provider,
            connection_id: new.connection,
            name: new.name,
            config: new.config,
            scopes: Value::from(new.scopes),
            client_id: new.client_id,
            redirect_uri: new.redirect_uri,
            return_url: new.return_url,
            job_id: JobId::new(self.clock()),
            ticket_hash: new.ticket_hash,
            state_hash: None,
            browser_hash: None,
            verifier: None,
            verifier_key: None,
            requested_by: new.requested_by,
            trace_context: new.trace_context,
            created_at: now,
            expires_at: now + TimeDelta::minutes(CONSENT_MINUTES),
            opened_at: None,
            consumed_at: None,
            exchanged_at: None,
            failure: None,
        };
        Entity::insert(ActiveModel::from(row.clone()))
            .exec_without_returning(tx)
            .await?;
        Ok(row)
    }

    /// One consent of an org.
    ///
    /// # Errors
    /// The database.
    pub async fn consent(
        &self,
        db: &impl ConnectionTrait,
        org: OrgId,
        id: ConsentId,
    ) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id)
            .filter(Column::OrgId.eq(org))
            .one(db)
            .await?)
    }

    /// One consent for a browser, which knows no org: its cookie must prove that it may know.
    ///
    /// # Errors
    /// The database.
    pub async fn consent_of_browser(
        &self,
        id: ConsentId,
        browser_hash: &[u8],
    ) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id)
            .filter(Column::BrowserHash.eq(browser_hash))
            .one(self.db())
            .await?)
    }

    /// The consent that a ticket opens, whatever its state.
    ///
    /// # Errors
    /// The database.
    pub async fn consent_of_ticket(&self, ticket: &str) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::TicketHash.eq(OneTime::Ticket.hash(ticket)))
            .one(self.db())
            .await?)
    }

    /// The consent that a state belongs to, whatever its own state.
    ///
    /// # Errors
    /// The database.
    pub async fn consent_of_state(&self, state: &str) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::StateHash.eq(OneTime::State.hash(state)))
            .one(self.db())
            .await?)
    }

    /// Gives a consent that nobody has opened another ticket. False if it was opened meanwhile.
    ///
    /// # Errors
    /// The database.
    pub async fn renew_ticket(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: ConsentId,
        ticket_hash: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let done = Entity::update_many()
            .col_expr(Column::TicketHash, Expr::value(ticket_hash))
            .filter(Column::Id.eq(id))
            .filter(Column::OrgId.eq(org))
            .filter(Column::OpenedAt.is_null())
            .filter(Column::ExpiresAt.gt(self.clock().now()))
            .exec(tx)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Binds the consent to a browser and a state, in one statement. A second browser finds
    /// it taken; the first one may come again and gets another state. False: taken, used or over.
    ///
    /// # Errors
    /// The database.
    pub async fn open_consent(
        &self,
        id: ConsentId,
        present_browser: Option<&[u8]>,
        opening: Opening,
    ) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let mut may_open = Condition::any().add(Column::OpenedAt.is_null());
        if let Some(browser) = present_browser {
            may_open = may_open.add(Column::BrowserHash.eq(browser));
        }
        let (verifier, key) = match opening.verifier {
            Some(sealed) => (Some(sealed.bytes), Some(sealed.key_id)),
            None => (None, None),
        };
        let done = Entity::update_many()
            .col_expr(Column::StateHash, Expr::value(opening.state_hash))
            .col_expr(Column::BrowserHash, Expr::value(opening.browser_hash))
            .col_expr(Column::Verifier, Expr::value(verifier))
            .col_expr(Column::VerifierKey, Expr::value(key))
            .col_expr(Column::OpenedAt, Expr::value(now))
            .filter(Column::Id.eq(id))
            .filter(Column::ConsumedAt.is_null())
            .filter(Column::ExpiresAt.gt(now))
            .filter(may_open)
            .exec(self.db())
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Uses up a state, in one statement: of any number of callbacks one gets the consent.
    /// `None`: unknown, of another provider or browser, used or over.
    ///
    /// # Errors
    /// The database.
    pub async fn consume_consent(
        &self,
        tx: &DatabaseTransaction,
        state: &str,
        provider: &str,
        browser_hash: &[u8],
    ) -> Result<Option<Model>, StoreError> {
        let state_hash = OneTime::State.hash(state);
        let now = self.clock().now();
        let done = Entity::update_many()
            .col_expr(Column::ConsumedAt, Expr::value(now))
            .filter(Column::StateHash.eq(state_hash.clone()))
            .filter(Column::Provider.eq(provider))
            .filter(Column::BrowserHash.eq(browser_hash))
            .filter(Column::ConsumedAt.is_null())
            .filter(Column::ExpiresAt.gt(now))
            .exec(tx)
            .await?;
        if done.rows_affected != 1 {
            return Ok(None);
        }
        Ok(Entity::find()
            .filter(Column::StateHash.eq(state_hash))
            .one(tx)
            .await?)
    }

    /// Writes down why a consent ended without an exchange. Its verifier goes.
    ///
    /// # Errors
    /// The database.
    pub async fn fail_consent(
        &self,
        tx: &DatabaseTransaction,
        row: &Model,
        failure: &Failure,
    ) -> Result<(), StoreError> {
        let stored = serde_json::to_value(failure).map_err(|error| StoreError::Unreadable {
            what: "consents.failure",
            why: error.to_string(),
        })?;
        Entity::update(ActiveModel {
            id: Set(row.id),
            failure: Set(Some(stored)),
            verifier: Set(None),
            verifier_key: Set(None),
            ..Default::default()
        })
        .exec(tx)
        .await?;
        Ok(())
    }

    /// Says, before the code goes to the provider, that it went. False: an earlier run has
    /// said so, and what became of its code nobody knows. The verifier goes with it.
    ///
    /// # Errors
    /// The database.
    pub async fn begin_exchange(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        id: ConsentId,
    ) -> Result<bool, StoreError> {
        let done = Entity::update_many()
            .col_expr(Column::ExchangedAt, Expr::value(self.clock().now()))
            .col_expr(Column::Verifier, Expr::value(None::<Vec<u8>>))
            .col_expr(Column::VerifierKey, Expr::value(None::<String>))
            .filter(Column::Id.eq(id))
            .filter(Column::OrgId.eq(org))
            .filter(Column::ConsumedAt.is_not_null())
            .filter(Column::ExchangedAt.is_null())
            .exec(tx)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Forgets consents that were over a day ago, at most `limit`.
    ///
    /// # Errors
    /// The database.
    pub async fn prune_consents(&self, limit: u64) -> Result<u64, StoreError> {
        let old: DateTime<Utc> = self.clock().now() - TimeDelta::hours(KEPT_HOURS);
        let ids = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::ExpiresAt.lt(old))
            .order_by_asc(Column::ExpiresAt)
            .limit(limit);
        let deleted = Entity::delete_many()
            .filter(Expr::col(Column::Id).in_subquery(ids.into_query()))
            .exec(self.db())
            .await?;
        Ok(deleted.rows_affected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_time_text_has_256_bits_and_another_hash_for_each_purpose() {
        let text = one_time_text();
        assert_eq!(URL_SAFE_NO_PAD.decode(text.expose()).unwrap().len(), 32);
        assert_ne!(text, one_time_text());
        let hash = |purpose: OneTime| purpose.hash(text.expose());
        assert_ne!(hash(OneTime::Ticket), hash(OneTime::State));
        assert_ne!(hash(OneTime::State), hash(OneTime::Browser));
    }
}
