//! What can be done through a mail server. One file per action.

pub(super) mod send_email;
pub(super) mod send_test_email;
