//! What people are told of a credential's life.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{connection::CredentialOrigin, entities::credential};

/// Where a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenStatus {
    /// Works.
    Active,
    /// Ends soon. One that can be refreshed is refreshed at its next use, or before.
    Expiring,
    /// Ended, or refused by the provider: a person must connect again.
    Expired,
    /// Withdrawn here: only who and when are kept.
    Revoked,
}

/// What cannot be refreshed is said to end this long before it does.
const SAID_BEFORE: TimeDelta = TimeDelta::days(7);

impl TokenStatus {
    /// The name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Where a row stands at this time.
    #[must_use]
    pub fn of(row: &credential::Model, now: DateTime<Utc>) -> Self {
        let end = if row.refreshable {
            row.refresh_expires_at
        } else {
            row.expires_at
        };
        if row.revoked_at.is_some() {
            Self::Revoked
        } else if row.refused_at.is_some() || end.is_some_and(|end| end <= now) {
            Self::Expired
        } else if end
            .is_some_and(|end| end - now < SAID_BEFORE && row.origin == CredentialOrigin::Consent)
            || (row.refreshable && row.expires_at.is_some_and(|end| end <= now))
        {
            Self::Expiring
        } else {
            Self::Active
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::ids::{ConnectionId, CredentialId, OrgId};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn days(days: i64) -> Option<DateTime<Utc>> {
        Some(NOW + TimeDelta::days(days))
    }

    fn row() -> credential::Model {
        credential::Model {
            id: CredentialId(Uuid::nil()),
            org_id: OrgId(Uuid::nil()),
            connection_id: ConnectionId(Uuid::nil()),
            version: 1,
            sealed: None,
            mask: json!({}),
            expires_at: None,
            created_by: "test".into(),
            created_at: NOW,
            revoked_by: None,
            revoked_at: None,
            origin: CredentialOrigin::Consent,
            client_id: None,
            scopes: None,
            refreshable: false,
            refresh_expires_at: None,
            refreshed_at: None,
            refresh_due_at: None,
            refresh_by: None,
            refresh_until: None,
            refresh_sent_at: None,
            refresh_failures: 0,
            refused_at: None,
        }
    }

    #[test]
    fn what_cannot_be_refreshed_ends_with_its_token() {
        let ends = |expires_at| {
            TokenStatus::of(
                &credential::Model {
                    expires_at,
                    ..row()
                },
                NOW,
            )
        };
        assert_eq!(ends(None), TokenStatus::Active);
        assert_eq!(ends(days(8)), TokenStatus::Active);
        assert_eq!(ends(days(6)), TokenStatus::Expiring);
        assert_eq!(ends(days(0)), TokenStatus::Expired);
    }

    #[test]
    fn what_can_be_refreshed_ends_with_its_refresh_token() {
        let ends = |expires_at, refresh_expires_at| {
            let row = credential::Model {
                expires_at,
                refresh_expires_at,
                refreshable: true,
                ..row()
            };
            TokenStatus::of(&row, NOW)
        };
        assert_eq!(ends(days(1), None), TokenStatus::Active);
        assert_eq!(ends(days(-1), None), TokenStatus::Expiring);
        assert_eq!(ends(days(1), days(90)), TokenStatus::Active);
        assert_eq!(ends(days(1), days(3)), TokenStatus::Expiring);
        assert_eq!(ends(days(1), days(-1)), TokenStatus::Expired);
    }

    #[test]
    fn a_refusal_and_a_withdrawal_end_it_at_once() {
        let refused = credential::Model {
            refused_at: days(0),
            expires_at: days(30),
            ..row()
        };
        assert_eq!(TokenStatus::of(&refused, NOW), TokenStatus::Expired);
        let revoked = credential::Model {
            revoked_at: days(0),
            ..refused
        };
        assert_eq!(TokenStatus::of(&revoked, NOW), TokenStatus::Revoked);
    }
}
