//! What can be done in Drive. One file per action.

pub(super) mod export_text;
