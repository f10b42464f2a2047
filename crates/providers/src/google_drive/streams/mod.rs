//! Drive's streams. One file per stream.

pub(super) mod files;
