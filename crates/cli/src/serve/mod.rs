//! What the serving commands share: database, signals, the admin port.

pub mod admin_port;
pub mod background;
pub mod database;
pub mod duty_words;
pub mod fleet;
pub mod keyring_watch;
pub mod listen;
pub mod outside;
pub mod patience;
pub mod presence;
pub mod reach;
pub mod readiness;
pub mod signals;
pub mod stand_ins;
pub mod vital_signs;
pub mod waiting_room;
pub mod work;
