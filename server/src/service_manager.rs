//! What a service manager such as systemd passes on to the server, and what it is told. Written by hand: three variables and
//! one datagram, against the libraries that do it (`docs/dependencies.md`).
//!
//! - `passed`: listeners that were bound for it (sd_listen_fds(3))
//! - `notify`: how it is doing (sd_notify(3))

mod notify;
mod passed;

pub(crate) use notify::{Notifier, watchdog};
pub(crate) use passed::passed;

/// The variable that says where a service manager listens.
pub(crate) const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
