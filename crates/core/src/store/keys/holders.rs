//! What live processes tell of their keys, and which keys were promoted last.

use sea_orm::{DbBackend, Value};

use super::run;
use crate::{
    ids::ProcessId,
    store::{Store, StoreError},
    vault::holders::{HeldKey, Holder, KeySort, Role},
};

/// The keys promoted last, by name and fingerprint ([`HeldKey::name`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promoted {
    /// Of those that wrap data keys.
    pub wrapping: Option<String>,
    /// Of those that open what was sealed.
    pub sealing: Option<String>,
}

impl Promoted {
    /// That of one sort.
    #[must_use]
    pub fn of(&self, sort: KeySort) -> Option<&str> {
        match sort {
            KeySort::Wrapping => self.wrapping.as_deref(),
            KeySort::Sealing => self.sealing.as_deref(),
        }
    }
}

impl Store {
    /// Tells in the process's row which keys it holds. False: there is no such live process.
    ///
    /// # Errors
    /// The database.
    pub async fn publish_keys(
        &self,
        process: ProcessId,
        keys: &[HeldKey],
    ) -> Result<bool, StoreError> {
        const SQL: &str = "update processes set keys = $2 where id = $1 and ended_at is null";
        let text = serde_json::to_string(keys).map_err(|error| StoreError::Unreadable {
            what: "processes.keys",
            why: error.to_string(),
        })?;
        Ok(run(self.db(), SQL, [process.into(), text.into()]).await? == 1)
    }

    /// The live processes that use keys. Live by the lease, on the database's clock.
    ///
    /// # Errors
    /// The database.
    pub async fn key_holders(&self) -> Result<Vec<Holder>, StoreError> {
        const COLUMNS: &str = "select id, kind, version, host, keys from processes \
            where kind in ('api', 'worker', 'up') and ended_at is null";
        let (sql, values): (String, Vec<Value>) = match self.db().get_database_backend() {
            DbBackend::Sqlite => (
                format!("{COLUMNS} and lease_until > $1 order by id"),
                vec![self.clock().now().into()],
            ),
            _ => (
                format!("{COLUMNS} and lease_until > patchbay_now() order by id"),
                vec![],
            ),
        };
        let rows = self.all_rows(&sql, values).await?;
        rows.iter()
            .map(|row| {
                let kind: String = row.try_get("", "kind")?;
                let keys: Option<String> = row.try_get("", "keys")?;
                Ok(Holder {
                    process: row.try_get("", "id")?,
                    role: if kind == "api" {
                        Role::Seals
                    } else {
                        Role::Opens
                    },
                    kind,
                    version: row.try_get("", "version")?,
                    host: row.try_get("", "host")?,
                    // Told in the words of another version: as good as not told.
                    keys: keys.and_then(|text| serde_json::from_str(&text).ok()),
                })
            })
            .collect()
    }

    /// The keys promoted last.
    ///
    /// # Errors
    /// The database.
    pub async fn promoted_keys(&self) -> Result<Promoted, StoreError> {
        const SQL: &str = "select promoted_key, promoted_sealing from deployment";
        let Some(row) = self.one_row(SQL, []).await? else {
            return Ok(Promoted::default());
        };
        Ok(Promoted {
            wrapping: row.try_get("", "promoted_key")?,
            sealing: row.try_get("", "promoted_sealing")?,
        })
    }

    /// Notes the key that is promoted, before the keyring file says so: a process that
    /// starts from now on must know it.
    ///
    /// # Errors
    /// The database.
    pub async fn note_promoted(&self, sort: KeySort, name: Option<&str>) -> Result<(), StoreError> {
        let column = match sort {
            KeySort::Wrapping => "promoted_key",
            KeySort::Sealing => "promoted_sealing",
        };
        let sql = format!("update deployment set {column} = $1");
        run(self.db(), &sql, [name.map(str::to_owned).into()]).await?;
        Ok(())
    }
}
