//! What strangers may use, and what it costs them to misbehave. Numbers only; the rules that keep them are elsewhere.

use std::net::IpAddr;
use std::time::Duration;

use common::config::value::{count, duration, list};
use common::network::Network;
use serde::Deserialize;

use super::defaults::{self, CONNECTIONS_MAX, EXEMPT_MAX, PENALTY_MAX_MS, TIMEOUT_MAX_MS, TIMEOUT_MIN_MS};

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitSettings {
    /// Connections that have not logged in yet.
    #[serde(deserialize_with = "count::<1, CONNECTIONS_MAX, _>")]
    pub(crate) unauthenticated: usize,
    /// The same from one source.
    #[serde(deserialize_with = "count::<1, CONNECTIONS_MAX, _>")]
    pub(crate) unauthenticated_per_source: usize,
    /// Connections over TCP that have logged in.
    #[serde(deserialize_with = "count::<1, CONNECTIONS_MAX, _>")]
    pub(crate) connections: usize,
    /// From accept to a complete ClientHello (RFC 8446, section 4.1.2).
    #[serde(deserialize_with = "duration::<TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, _>")]
    pub(crate) client_hello_timeout: Duration,
    /// From accept to a complete login.
    #[serde(deserialize_with = "duration::<TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, _>")]
    pub(crate) login_timeout: Duration,
    /// Sources that penalties never touch.
    #[serde(deserialize_with = "list::<EXEMPT_MAX, _, _>")]
    pub(crate) exempt: Vec<Network>,
}

impl LimitSettings {
    /// Whether penalties never touch this address.
    pub(crate) fn is_exempt(&self, address: IpAddr) -> bool {
        self.exempt.iter().any(|network| network.contains(address))
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            unauthenticated: defaults::UNAUTHENTICATED,
            unauthenticated_per_source: defaults::UNAUTHENTICATED_PER_SOURCE,
            connections: defaults::CONNECTIONS,
            client_hello_timeout: defaults::CLIENT_HELLO_TIMEOUT,
            login_timeout: defaults::LOGIN_TIMEOUT,
            exempt: Vec::new(),
        }
    }
}

/// `[penalties]`: for how long a source is refused after one of these; 0 is not at all.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PenaltySettings {
    /// Whether there are any.
    pub(crate) enabled: bool,
    /// A key that is not authorised.
    #[serde(deserialize_with = "duration::<0, PENALTY_MAX_MS, _>")]
    pub(crate) auth_failure: Duration,
    /// A connection that never tried to log in.
    #[serde(deserialize_with = "duration::<0, PENALTY_MAX_MS, _>")]
    pub(crate) no_authentication: Duration,
    /// A login that was not complete in time.
    #[serde(deserialize_with = "duration::<0, PENALTY_MAX_MS, _>")]
    pub(crate) timeout: Duration,
    /// Bytes that break the protocol.
    #[serde(deserialize_with = "duration::<0, PENALTY_MAX_MS, _>")]
    pub(crate) violation: Duration,
}

impl Default for PenaltySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            auth_failure: defaults::AUTH_FAILURE,
            no_authentication: defaults::NO_AUTHENTICATION,
            timeout: defaults::TIMEOUT,
            violation: defaults::VIOLATION,
        }
    }
}
