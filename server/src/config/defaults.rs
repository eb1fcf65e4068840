//! What holds where the file is silent, each with its reason, and how far the file may go.

use std::time::Duration;

use super::OnFailure;
use crate::admission;

/// Most addresses to listen on: a listener is a task and a descriptor, and a machine has a handful.
pub(super) const LISTEN_MAX: usize = 64;

/// Connections that have not proven who they are. Beyond it the oldest is given up, so it need not be large: a burst
/// of a few hundred clients still passes, since a login takes milliseconds; at 8.5 KiB for a TLS handshake they hold 2 MiB.
pub(super) const UNAUTHENTICATED: usize = 256;

/// The same from one source: what a busy machine opens at once. A single stranger gets no more of the table, and 32 of them
/// are needed to fill it.
pub(super) const UNAUTHENTICATED_PER_SOURCE: usize = 8;

/// Connections over TCP that have logged in: at some 20 KiB each they hold 320 MiB.
pub(super) const CONNECTIONS: usize = 16_384;

/// Most of any of these: the descriptors that systemd grants a service by default stop it before.
pub(super) const CONNECTIONS_MAX: usize = 65_536;

/// Until the first message of the handshake is complete; it needs no person and fits into one packet.
pub(super) const CLIENT_HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Until the login is complete. A person may have to confirm the use of a key within it.
pub(super) const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Milliseconds. Shorter than the first, and clients on slow lines cannot log in at all.
pub(super) const TIMEOUT_MIN_MS: u64 = 100;

/// Milliseconds: an hour. Longer is as good as no limit.
pub(super) const TIMEOUT_MAX_MS: u64 = 3_600_000;

/// Networks that are never penalised: every connection is compared with each.
pub(super) const EXEMPT_MAX: usize = 1024;

/// A key that is not authorised. This and the next three are OpenSSH's values (sshd_config(5), `PerSourcePenalties`):
/// long enough to make guessing useless, and forgotten before a person who slipped has found the reason. Only a violation has
/// no price of its own there.
pub(super) const AUTH_FAILURE: Duration = Duration::from_secs(5);

/// A connection that ends without trying to log in: port scanners, and health checks, which may come every second.
pub(super) const NO_AUTHENTICATION: Duration = Duration::from_secs(1);

/// A login that is not complete in time: it has cost a place for that long.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// What no client of ours ever sends: it shuts a source out at once.
pub(super) const VIOLATION: Duration = Duration::from_secs(30);

/// Milliseconds: the longest that a source is shut out.
pub(super) const PENALTY_MAX_MS: u64 = admission::LONGEST.as_millis() as u64;

/// The longest that a job waits for a client whose line is lost: a night with a closed laptop. Clients ask for a minute unless they
/// are told otherwise, so this bounds only those that are.
pub(super) const MAX_GRACE: Duration = Duration::from_secs(12 * 3600);

/// Milliseconds: a week.
pub(super) const GRACE_MAX_MS: u64 = 7 * 24 * 3_600_000;

/// Milliseconds: a year.
pub(super) const JOB_TIME_MAX_MS: u64 = 365 * 24 * 3_600_000;

/// Keys of those who may reach the jobs of others.
pub(super) const ADMINISTRATORS_MAX: usize = 64;

/// Whoever may run a command may as well run it with nohup(1).
pub(super) const KEEP: bool = true;

/// A trail without the commands does not tell what happened.
pub(super) const AUDIT_COMMANDS: bool = true;

/// Whoever can fill the disk could otherwise act unseen.
pub(super) const AUDIT_ON_FAILURE: OnFailure = OnFailure::Refuse;

/// A record in a file costs some 10 µs, and survives everything but the machine's own death; fdatasync(2) costs 4 ms on an
/// ordinary disk, which is more than the start of a job.
pub(super) const AUDIT_SYNC: bool = false;
