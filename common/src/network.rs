//! Ranges of IP addresses in CIDR notation (RFC 4632, RFC 4291).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// All addresses that begin with the same bits: `192.0.2.0/24`, `2001:db8::/32`, or a single address. One of version 4 in the
/// form of version 6 (`::ffff:192.0.2.0/120`) is what it stands for: sockets that listen on `::` report addresses so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether `address` is one of them. Also that may be a version 4 address in the form of version 6.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, width) = bits(self.address);
        let (other, other_width) = bits(address.to_canonical());
        width == other_width && (own ^ other) & mask(self.prefix) == 0
    }
}

/// The bits of an address at the top of 128, and how many it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn mask(prefix: u32) -> u128 {
    // Shifting by the whole width is not defined.
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

/// The address whose bits behind the first `prefix` are not set.
fn first(address: IpAddr, prefix: u32) -> IpAddr {
    let kept = bits(address).0 & mask(prefix);
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((kept >> 96) as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(kept)),
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let malformed = || NetworkError::Malformed { text: text.to_owned() };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| malformed())?;
        let address = written.to_canonical();
        let (own, width) = bits(address);
        let prefix = match prefix {
            None => width,
            // Digits only: Rust would take a sign, too.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let prefix: u32 = digits.parse().map_err(|_| malformed())?;
                prefix
                    .checked_sub(bits(written).1 - width)
                    .filter(|prefix| *prefix <= width)
                    .ok_or_else(malformed)?
            }
            Some(_) => return Err(malformed()),
        };
        if own & !mask(prefix) != 0 {
            let network = Self { address: first(address, prefix), prefix };
            return Err(NetworkError::BitsBeyondPrefix { text: text.to_owned(), address, network });
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match bits(self.address) {
            (_, width) if width == self.prefix => self.address.fmt(f),
            _ => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

/// A text that names no network. The fault of whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// Not an address, or not the length of a prefix.
    #[error("not a network: {text:?} (write 192.0.2.0/24, 2001:db8::/32 or an address)")]
    Malformed {
        /// What was written.
        text: String,
    },
    /// It could mean one host or the whole network.
    #[error("{text} has bits set behind its prefix (write {network}, or {address} for one address)")]
    BitsBeyondPrefix {
        /// What was written.
        text: String,
        /// The address in it.
        address: IpAddr,
        /// The network that it is in.
        network: Network,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it_and_no_others() {
        let rows = [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "::ffff:192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.3.0", false),
            ("::ffff:192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::1", "::1", true),
            ("::1/128", "::2", false),
        ];
        for (network, address, expected) in rows {
            let found: Network = network.parse().unwrap();
            assert_eq!(found.contains(address.parse().unwrap()), expected, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "192.0.2.0/",
            "192.0.2.0/33",
            "::/129",
            "::/+1",
            "192.0.2/24",
            "a",
            "::/999999999999",
            "::ffff:0:0/95",
        ] {
            let refused = text.parse::<Network>();
            assert!(matches!(refused, Err(NetworkError::Malformed { .. })), "{text:?} {refused:?}");
        }
        for (text, network) in [
            ("192.0.2.1/24", "192.0.2.0/24"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:192.0.2.1/120", "192.0.2.0/24"),
        ] {
            let message = text.parse::<Network>().unwrap_err().to_string();
            assert!(message.contains(&format!("(write {network}, or ")), "{message}");
        }
        for text in ["2001:db8::/32", "192.0.2.7", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
