//! API keys: `pb_<prefix>_<256 random bits><checksum>`. The prefix finds the row;
//! the row holds a hash. The secret has 256 bits of entropy, so a plain SHA-256
//! is as hard to turn back as the secret is to guess.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use rand::Rng;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Store, StoreError, events::NewEvent};
use crate::{
    connection::Role,
    entities::api_key,
    events::EventKind,
    ids::{ApiKeyId, OrgId},
    secret::Secret,
};

const PREFIX_LEN: usize = 12;
const SECRET_LEN: usize = 43; // base64url of 32 bytes
const CHECKSUM_LEN: usize = 6;

/// `last_used_at` is as fine as this, so that a busy key is not a write a request.
const LAST_USED_GRAIN: TimeDelta = TimeDelta::minutes(1);

impl Store {
    /// Makes a key. The text is returned once and kept nowhere.
    ///
    /// # Errors
    /// The database.
    pub async fn create_api_key(
        &self,
        tx: &DatabaseTransaction,
        org: OrgId,
        name: &str,
        role: Role,
        actor: &str,
    ) -> Result<(api_key::Model, Secret), StoreError> {
        let mut random = [0; 32 + PREFIX_LEN / 2];
        rand::rng().fill_bytes(&mut random);
        let (secret, prefix) = random.split_at(32);
        let prefix = hex(prefix);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let row = api_key::Model {
            id: ApiKeyId::new(self.clock()),
            org_id: org,
            name: name.to_owned(),
            role,
            hash: hash(&prefix, &secret).to_vec(),
            created_at: self.clock().now(),
            last_used_at: None,
            revoked_at: None,
            prefix,
        };
        api_key::Entity::insert(api_key::ActiveModel::from(row.clone()))
            .exec_without_returning(tx)
            .await?;
        let data = json!({ "name": name, "role": role, "prefix": row.prefix });
        self.record_event(
            tx,
            NewEvent::new(org, EventKind::ApiKeyCreated, actor).data(data),
        )
        .await?;
        let text = Secret::new(format!(
            "pb_{}_{secret}{}",
            row.prefix,
            checksum(&row.prefix, &secret)
        ));
        Ok((row, text))
    }

    /// The key behind a text, if it is one of ours and not revoked.
    ///
    /// # Errors
    /// The database. A text that is no key costs no query.
    pub async fn authenticate(&self, text: &str) -> Result<Option<api_key::Model>, StoreError> {
        let Some((prefix, secret)) = split(text) else {
            return Ok(None);
        };
        let row = api_key::Entity::find()
            .filter(api_key::Column::Prefix.eq(prefix))
            .filter(api_key::Column::RevokedAt.is_null())
            .one(self.db())
            .await?;
        let Some(row) = row else { return Ok(None) };
        if !bool::from(row.hash.ct_eq(&hash(prefix, secret))) {
            return Ok(None);
        }
        let now = self.clock().now();
        if row
            .last_used_at
            .is_none_or(|used| now - used > LAST_USED_GRAIN)
        {
            api_key::Entity::update(api_key::ActiveModel {
                id: Set(row.id),
                last_used_at: Set(Some(now)),
                ..Default::default()
            })
            .exec(self.db())
            .await?;
        }
        Ok(Some(row))
    }

    /// The keys of an org, oldest first.
    ///
    /// # Errors
    /// The database.
    pub async fn api_keys(&self, org: OrgId) -> Result<Vec<api_key::Model>, StoreError> {
        let rows = api_key::Entity::find()
            .filter(api_key::Column::OrgId.eq(org))
            .order_by_asc(api_key::Column::Id);
        Ok(rows.all(self.db()).await?)
    }
}

/// Prefix and secret of a text whose form and checksum are right.
fn split(text: &str) -> Option<(&str, &str)> {
    let (prefix, rest) = text.strip_prefix("pb_")?.split_at_checked(PREFIX_LEN)?;
    let (secret, check) = rest.strip_prefix('_')?.split_at_checked(SECRET_LEN)?;
    (check.len() == CHECKSUM_LEN && checksum(prefix, secret) == check).then_some((prefix, secret))
}

fn hash(prefix: &str, secret: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"patchbay api key\0");
    hasher.update(prefix.as_bytes());
    hasher.update(secret.as_bytes());
    hasher.finalize().into()
}

/// Lets a typo or a cut-off key be told from a wrong one without a query. No security rests on it.
fn checksum(prefix: &str, secret: &str) -> String {
    let mut text =
        hex(&Sha256::digest(format!("patchbay checksum {prefix} {secret}"))[..CHECKSUM_LEN / 2]);
    text.truncate(CHECKSUM_LEN);
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_wrong_letter_is_told_without_a_query() {
        let secret = "A".repeat(SECRET_LEN);
        let text = format!(
            "pb_0123456789ab_{secret}{}",
            checksum("0123456789ab", &secret)
        );
        assert_eq!(split(&text), Some(("0123456789ab", secret.as_str())));
        assert_eq!(split(&text.replacen("pb_0", "pb_1", 1)), None);
        assert_eq!(split(&text[..text.len() - 1]), None);
        assert_eq!(split("pb_ä"), None);
        assert_eq!(split(""), None);
    }
}
