//! The kinds of job that this version can run. While versions work side by side, the table
//! may hold kinds of a newer one: claims pass them over and leave them queued, uncharged.

use sea_orm::{ActiveEnum, Iterable};

use crate::job::JobKind;

/// As column `kind` spells them.
pub(super) fn known() -> Vec<String> {
    JobKind::iter().map(|kind| kind.to_value()).collect()
}
