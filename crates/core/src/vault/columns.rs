//! Every encrypted column of the database: a column more is a line more here. Rotation
//! and the retire gate go through this list, and a test compares it with the tables, so
//! no column of bytes can be forgotten.
//!
//! A column under data keys also wants an index on `(substr(column, 1, 39), id)`: what
//! a blob begins with, up to the id of its key ([`super::cipher::header`]).

use uuid::Uuid;

/// What closes a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Under {
    /// A key of the deployment's keyring (a vault blob).
    KeyringKey,
    /// The org's data key (a vault blob).
    DataKey,
    /// The org's data key, in rows that took over a blob as it stood in another place:
    /// their `key` says [`MOVED`]. They are short-lived and not re-encrypted; the old data
    /// key stays until they are gone.
    MovedDataKey {
        /// The column that says so.
        key: &'static str,
    },
    /// A sealing key (HPKE), named by another column.
    SealingKey {
        /// That column.
        key: &'static str,
        /// Whether it stays when the secret is emptied, as the mark that there was one.
        key_stays: bool,
    },
}

/// What the key column of a row says that took over a vault blob.
pub const MOVED: &str = "vault";

/// An encrypted column. Its table has a primary key `id` and, but for keys themselves, an `org_id`.
#[derive(Debug, PartialEq, Eq)]
pub struct EncryptedColumn {
    /// Its table.
    pub table: &'static str,
    /// Its name.
    pub column: &'static str,
    /// What closes it.
    pub under: Under,
    /// The columns that name the row in the blob's place; the last is the primary key.
    pub row: &'static [&'static str],
}

const fn column(
    table: &'static str,
    column: &'static str,
    under: Under,
    row: &'static [&'static str],
) -> EncryptedColumn {
    EncryptedColumn {
        table,
        column,
        under,
        row,
    }
}

const fn sealed_to(key: &'static str, key_stays: bool) -> Under {
    Under::SealingKey { key, key_stays }
}

/// An org's data key.
pub static ORG_KEY: EncryptedColumn = column("org_keys", "wrapped", Under::KeyringKey, &["id"]);
/// A connection's secret material.
pub static CREDENTIAL: EncryptedColumn = column(
    "credentials",
    "sealed",
    Under::DataKey,
    &["connection_id", "id"],
);
/// The secret of an org's own OAuth client.
pub static OAUTH_CLIENT: EncryptedColumn =
    column("oauth_clients", "secret", Under::DataKey, &["id"]);
/// What messages to a webhook that tells of alerts are signed with.
pub static ALERT_WEBHOOK: EncryptedColumn =
    column("alert_webhooks", "secret", Under::DataKey, &["id"]);
/// A job's secret arguments.
pub static JOB: EncryptedColumn = column("jobs", "sealed", sealed_to("sealed_key", true), &["id"]);
/// A credential that a job took over, to revoke it.
pub static JOB_TAKEN_OVER: EncryptedColumn = column(
    "jobs",
    "sealed",
    Under::MovedDataKey { key: "sealed_key" },
    &["id"],
);
/// The verifier of a consent that is under way.
pub static CONSENT: EncryptedColumn = column(
    "consents",
    "verifier",
    sealed_to("verifier_key", false),
    &["id"],
);

/// All of them.
pub static ENCRYPTED: [&EncryptedColumn; 7] = [
    &ORG_KEY,
    &CREDENTIAL,
    &OAUTH_CLIENT,
    &ALERT_WEBHOOK,
    &JOB,
    &JOB_TAKEN_OVER,
    &CONSENT,
];

/// Columns of bytes that hold no ciphertext: hashes, and packed numbers of health.
pub const PLAIN: &[(&str, &str)] = &[
    ("api_keys", "hash"),
    ("records", "content_hash"),
    ("idempotency_keys", "body_hash"),
    ("consents", "ticket_hash"),
    ("consents", "state_hash"),
    ("consents", "browser_hash"),
    ("connection_health", "open"),
    ("health_days", "hours"),
    ("health_rings", "checks"),
];

impl EncryptedColumn {
    /// `table.column`, for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.table, self.column)
    }
}

/// One encrypted value: its column and its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its column.
    pub column: &'static EncryptedColumn,
    /// The values of [`EncryptedColumn::row`].
    pub row: Vec<Uuid>,
}

impl Cell {
    /// The value of this column in this row.
    #[must_use]
    pub fn new(column: &'static EncryptedColumn, row: &[Uuid]) -> Self {
        debug_assert_eq!(column.row.len(), row.len(), "{}", column.name());
        Self {
            column,
            row: row.to_vec(),
        }
    }

    /// How the row is called in the blob's place.
    pub(super) fn row_text(&self) -> String {
        let ids: Vec<String> = self.row.iter().map(ToString::to_string).collect();
        ids.join("/")
    }

    /// The primary key.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.row.last().copied().unwrap_or_default()
    }
}
