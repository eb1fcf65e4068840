//! What a server is told, checked once.

use common::endpoint::Endpoint;

/// Settings of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Where to listen. Empty: port 9000 of both loopback addresses, and the user's own Unix socket.
    pub listen: Vec<Endpoint>,
}
