//! What became of refreshes, for `/metrics`.

use crate::metrics::Count;

/// Counts since the process started.
#[derive(Debug, Default)]
pub struct RefreshCounts {
    /// A new token is committed.
    pub(crate) renewed: Count,
    /// Another process had done it while this one waited.
    pub(crate) joined: Count,
    /// The provider refused the grant for good.
    pub(crate) refused: Count,
    /// A refusal that came when another had taken over, or of a version no longer in force.
    pub(crate) refused_late: Count,
    /// The provider could not or would not now: 429, 5xx, no connection.
    pub(crate) postponed: Count,
    /// Sent, and no usable answer came: the provider may have rotated the token.
    pub(crate) unanswered: Count,
    /// Answered, and the answer not committed: another had taken over, the credential was
    /// replaced or the connection ended meanwhile, or the database was away. What was rotated
    /// is lost.
    pub(crate) uncommitted: Count,
    /// A holder before had sent its request and never told an end (its process died).
    pub(crate) interrupted: Count,
    /// The client, its secret or the request is wrong.
    pub(crate) misconfigured: Count,
}

impl RefreshCounts {
    /// Name and value of each counter.
    #[must_use]
    pub fn numbers(&self) -> [(&'static str, u64); 9] {
        [
            ("renewed", self.renewed.get()),
            ("joined", self.joined.get()),
            ("refused", self.refused.get()),
            ("refused_late", self.refused_late.get()),
            ("postponed", self.postponed.get()),
            ("unanswered", self.unanswered.get()),
            ("uncommitted", self.uncommitted.get()),
            ("interrupted", self.interrupted.get()),
            ("misconfigured", self.misconfigured.get()),
        ]
    }
}
