//! Who may be connected without having authenticated yet, and who is refused. No socket, no clock: events and times
//! in, decisions out. It knows addresses, not keys: who may do what is `authorize`'s business, and deadlines are the
//! driver's.

mod limits;
mod penalties;
mod source;
mod tally;
mod unauthenticated;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use thiserror::Error;

pub(crate) use limits::{EFFECTIVE_FROM, LONGEST, Limits, PenaltyLimits, SOURCES};
use penalties::Penalties;
pub(crate) use source::{Origin, Source};
pub(crate) use tally::Summary;
use tally::Tally;
use unauthenticated::{Connection, Unauthenticated};

/// A connection that was admitted. Never used twice, and growing: of two, the smaller arrived earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What becomes of a connection that has just been accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It may greet.
    Admitted {
        /// Its name from now on.
        id: ConnectionId,
        /// The connection to close in its favour. Its id is forgotten already.
        evicted: Option<ConnectionId>,
    },
    /// To be closed at once, before a byte is read or a TLS handshake begins.
    Refused(AdmissionRefusal),
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum AdmissionRefusal {
    /// The source's own fault.
    #[error("its source is refused for another {} s", remaining.as_secs())]
    Penalised {
        /// How long it will be so, if nothing is added.
        remaining: Duration,
    },
    /// Nobody's fault: all places are taken, and none by a connection that has had its time.
    #[error("too many connections")]
    Busy,
}

/// How a connection ended that was not evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Once it had authenticated, in whatever way.
    Authenticated,
    /// The peer's key or user was refused.
    AuthenticationFailed,
    /// The peer left before it tried.
    NoAuthentication,
    /// The time for the handshake or for HELLO ran out.
    DeadlinePassed,
    /// The peer broke the protocol.
    Violation,
    /// For a reason of this server's own: it stops, or failed.
    OurFault,
}

/// The connections of a server, as far as their number is limited, and the sources it will not hear for a while.
///
/// ```text
///               arrive                       authenticated
///   arriving ───────────► unauthenticated ──────────────────► authenticated
///      │                     │         │                            │
///      │ Refused       ended │         │ evicted in favour          │ ended
///      ▼                     ▼         ▼ of a newcomer              ▼
///     gone                 gone, perhaps with a penalty            gone
/// ```
///
/// Who comes from this machine through a Unix socket is admitted as authenticated; only the owner can reach that.
///
/// A full table makes room for newcomers: who has had a second without authenticating goes, and so does a source that
/// holds more than its share. So idle sockets lock nobody out; with sshd's `MaxStartups` they do. Only a flood from
/// more sources than there are places can, for as long as it reopens every connection at once.
///
/// A success leaves the penalties of its source as they are, as in sshd: else one valid key would pay for guessing
/// others, and for everybody behind the same address.
///
/// Every operation takes time logarithmic in the numbers of connections and of sources remembered; an eviction looks
/// at one connection for each number that a source can hold.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    last_id: u64,
    unauthenticated: Unauthenticated,
    authenticated: HashSet<ConnectionId>,
    local: HashSet<ConnectionId>,
    penalties: Penalties,
    tally: Tally,
}

impl Admission {
    /// A server with no connections.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            unauthenticated: Unauthenticated::new(limits.unauthenticated, limits.unauthenticated_per_source),
            penalties: Penalties::new(limits.penalties.clone()),
            limits,
            last_id: 0,
            authenticated: HashSet::new(),
            local: HashSet::new(),
            tally: Tally::default(),
        }
    }

    /// Goes by other limits from now on. Who is connected stays, and who is refused stays so.
    pub(crate) fn set_limits(&mut self, limits: Limits) {
        self.unauthenticated.set_places(limits.unauthenticated, limits.unauthenticated_per_source);
        self.penalties.set_limits(limits.penalties.clone());
        self.limits = limits;
    }

    /// Takes or refuses a connection. A refused one needs no [`Self::ended`], and costs its source nothing: clients
    /// that try again would never get in.
    pub(crate) fn arrive(&mut self, origin: Origin, now: Instant) -> Decision {
        let (source, exempt) = match origin {
            Origin::Local => {
                let id = self.new_id();
                self.local.insert(id);
                return Decision::Admitted { id, evicted: None };
            }
            Origin::Network(source) => (source, false),
            Origin::Exempt(source) => (source, true),
        };
        match self.make_room(source, exempt, now) {
            Ok(evicted) => {
                let id = self.new_id();
                self.unauthenticated.insert(id, Connection { source, exempt, since: now });
                Decision::Admitted { id, evicted }
            }
            Err(refusal) => {
                self.tally.refused(source, now);
                Decision::Refused(refusal)
            }
        }
    }

    fn make_room(
        &mut self,
        source: Source,
        exempt: bool,
        now: Instant,
    ) -> Result<Option<ConnectionId>, AdmissionRefusal> {
        self.penalties.forget_ended(now);
        if !exempt && let Some(remaining) = self.penalties.remaining(source, now) {
            return Err(AdmissionRefusal::Penalised { remaining });
        }
        if self.authenticated.len() >= self.limits.authenticated {
            return Err(AdmissionRefusal::Busy);
        }
        let evicted = self.unauthenticated.room(source, now)?;
        if let Some(connection) = evicted.and_then(|id| self.unauthenticated.remove(id)) {
            self.tally.evicted(now);
            // It did nothing in its time, or it would not be here: as if it had left. One that is behind the same
            // address as somebody else's idle sockets pays for them, but it takes fifteen evictions to be refused.
            // One that had no time yet only gave way.
            if connection.has_had_its_time(now) {
                self.penalise(&connection, Ending::NoAuthentication, now);
            }
        }
        Ok(evicted)
    }

    /// Counts a connection as authenticated; whether it is still there. One that is not was evicted a moment ago:
    /// close it.
    ///
    /// The limit on authenticated connections is looked at when one arrives, so it can be exceeded by as many as were
    /// unauthenticated then.
    #[must_use]
    pub(crate) fn authenticated(&mut self, id: ConnectionId) -> bool {
        if self.unauthenticated.remove(id).is_some() {
            self.authenticated.insert(id);
        }
        self.authenticated.contains(&id) || self.local.contains(&id)
    }

    /// Forgets a connection, and remembers what its source owes for it. Nothing happens for one that was evicted, and
    /// one that had authenticated costs nothing: its owner is known by name.
    pub(crate) fn ended(&mut self, id: ConnectionId, ending: Ending, now: Instant) {
        if let Some(connection) = self.unauthenticated.remove(id) {
            self.penalise(&connection, ending, now);
        } else if !self.authenticated.remove(&id) {
            self.local.remove(&id);
        }
    }

    fn penalise(&mut self, connection: &Connection, ending: Ending, now: Instant) {
        if !connection.exempt {
            self.penalties.add(connection.source, self.limits.penalties.after(ending), now);
        }
    }

    /// What to log about refusals and evictions: at most one line in [`tally::INTERVAL`], whatever the flood.
    pub(crate) fn report(&mut self, now: Instant) -> Option<Summary> {
        self.tally.report(now)
    }

    fn new_id(&mut self) -> ConnectionId {
        self.last_id += 1;
        ConnectionId(self.last_id)
    }
}

#[cfg(test)]
mod tests;
