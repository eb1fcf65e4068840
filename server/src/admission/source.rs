//! Where a connection comes from, as far as limits go. Not whom it belongs to: an address proves nothing.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The part of an IPv6 address that its owner cannot choose freely (RFC 4291, section 2.5.4).
const SUBNET: u128 = !0 << 64;

/// The addresses that count as one peer: an IPv4 address, or the IPv6 subnet that a host takes its addresses from
/// (/64).
///
/// So hosts of one IPv6 subnet share their limits, like those behind one IPv4 address translator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Source(IpAddr);

impl From<IpAddr> for Source {
    /// An IPv4 address that is mapped into IPv6 counts as itself, as sockets that listen on `::` report it so.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & SUBNET))),
            address => Self(address),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// Which limits a connection falls under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A Unix socket: none.
    Local,
    /// The network: all.
    Network(Source),
    /// The network, from an address that the operator has exempted from penalties: only the numbers.
    Exempt(Source),
}

impl Origin {
    /// A connection from this address. Whether that is `exempt` is the caller's to say: it has the whole address,
    /// while a [`Source`] is a subnet, and the operator's list may change while the server runs.
    pub(crate) fn network(address: IpAddr, exempt: bool) -> Self {
        let source = Source::from(address);
        if exempt { Self::Exempt(source) } else { Self::Network(source) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn addresses_that_count_as_one() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "127.0.0.1", false),
        ] {
            assert_eq!(source(one) == source(other), same, "{one} {other}");
        }
    }

    #[test]
    fn a_source_is_written_as_the_network_it_is() {
        assert_eq!(source("::ffff:192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(source("2001:db8:1:2:3:4:5:6").to_string(), "2001:db8:1:2::/64");
    }
}
