//! What a service manager such as systemd passes on to the server, and what it is told. Why by hand: `docs/dependencies.md`.
//!
//! - `passed`: listeners that were bound for it (sd_listen_fds(3))
//! - `notify`: how it is doing (sd_notify(3))

mod notify;
mod passed;

pub(crate) use notify::{Notifier, watchdog};
pub(crate) use passed::passed;

/// Variables of a service manager that are for the first program of one process only.
pub(crate) const PASSED_VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// The variable that says where a service manager listens.
pub(crate) const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
