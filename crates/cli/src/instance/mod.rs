//! A running `patchbay up` as its data folder shows it: the lock that keeps others
//! out, and the file where client commands find address and key.

pub mod file;
pub mod folder;

pub use file::InstanceFile;
pub use folder::DataFolder;
