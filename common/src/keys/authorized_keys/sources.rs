//! The addresses in `from="…"`.
//!
//! Addresses only: no name is ever resolved, because whoever answers for a name would have a say in who may connect.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::network::Network;

use super::super::pattern::{admits, items, matches};

/// Patterns in one `from="…"`.
pub const SOURCE_PATTERNS: usize = 64;

/// Bytes of a pattern: half as much again as the longest network needs.
const PATTERN_BYTES: usize = 64;

/// A list of patterns of addresses, in which `!` excludes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sources(Vec<(bool, Source)>);

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// A network, or a single address.
    Network(Network),
    /// Text with `*` and `?`, in small letters, for an address as it is usually written (RFC 5952).
    Wildcard(String),
}

impl Sources {
    /// Whether the list lets this address in. A version 4 address inside a version 6 one is the former.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let text = address.to_string();
        admits(self.0.iter().map(|(excludes, source)| (*excludes, source)), |source| match source {
            Source::Network(network) => network.contains(address),
            Source::Wildcard(pattern) => matches(pattern, &text),
        })
    }
}

impl FromStr for Sources {
    type Err = SourcesError;

    fn from_str(list: &str) -> Result<Self, SourcesError> {
        let mut sources = Vec::new();
        for (excludes, pattern) in items(list) {
            if sources.len() == SOURCE_PATTERNS {
                return Err(SourcesError::TooMany);
            }
            let source = pattern.parse().map_err(|()| SourcesError::Pattern(pattern.to_owned()))?;
            sources.push((excludes, source));
        }
        Ok(Self(sources))
    }
}

impl FromStr for Source {
    type Err = ();

    /// Refuses what no address can match, host names above all: alone it would only be useless, but behind a `!` it
    /// would let in what was meant to be kept out.
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() > PATTERN_BYTES {
            return Err(());
        }
        if text.contains(['*', '?']) {
            return wildcard(&text.to_ascii_lowercase()).map(Self::Wildcard).ok_or(());
        }
        text.parse().map(Self::Network).map_err(|_| ())
    }
}

/// Digits and dots, or hexadecimal digits and a colon: a canonical address never has both dots and colons, and a host
/// name never has a colon.
fn wildcard(text: &str) -> Option<String> {
    let has_only =
        |is_allowed: fn(char) -> bool| text.chars().all(|c| matches!(c, '*' | '?') || is_allowed(c));
    let is_possible = has_only(|c| c.is_ascii_digit() || c == '.')
        || text.contains(':') && has_only(|c| c.is_ascii_hexdigit() || c == ':');
    is_possible.then(|| text.to_owned())
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (excludes, source)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let exclamation_mark = if *excludes { "!" } else { "" };
            write!(f, "{comma}{exclamation_mark}{source}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Wildcard(pattern) => f.write_str(pattern),
        }
    }
}

/// A list that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourcesError {
    /// More than [`SOURCE_PATTERNS`].
    TooMany,
    /// This pattern.
    Pattern(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_let_in_by_networks_wildcards_and_themselves() {
        let table = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.4/31", "192.0.2.5", true),
            ("192.0.2.4/31", "192.0.2.6", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:DB8:0:0::1", "2001:db8::1", true),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.0/120", "192.0.2.7", true),
            ("::ffff:192.0.2.0/120", "192.0.3.7", false),
            ("192.0.2.*", "192.0.2.77", true),
            ("192.0.2.?", "192.0.2.77", false),
            ("192.0.2.??", "::ffff:192.0.2.77", true),
            ("2001:DB8:*", "2001:db8::5", true),
            ("*", "::1", true),
            ("!192.0.2.1,192.0.2.0/24", "192.0.2.1", false),
            ("192.0.2.0/24,!192.0.2.1", "192.0.2.1", false),
            ("192.0.2.0/24,!192.0.2.1", "192.0.2.2", true),
            ("!192.0.2.1", "192.0.2.2", false),
            ("10.0.0.0/8,::1", "::1", true),
        ];
        for (list, address, expected) in table {
            let sources: Sources = list.parse().unwrap();
            assert_eq!(sources.admit(address.parse().unwrap()), expected, "{list} {address}");
            assert_eq!(sources.to_string().parse(), Ok(sources), "{list}");
        }
    }

    #[test]
    fn what_can_match_no_address_is_refused() {
        for pattern in [
            "",
            "!",
            "host",
            "*.example.com",
            "db?",
            "cafe*",
            "fade",
            "10.0.0",
            "10.0.0.999",
            "10.0.0.01",
            " 10.0.0.1",
            "10.0.0.1 ",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.1/8",
            "/8",
            "10.0.*/16",
            "2001:db8::/129",
            "2001:db8::1/32",
            "::1/0",
            "fe80::1%eth0",
            "fe80::*%eth0",
            "::ffff:10.0.0.0/95",
            "::ffff:0:0/95",
            "::ffff:10.0.0.*",
            "!!10.0.0.1",
            "10.0.0.0/4294967296",
        ] {
            assert_eq!(
                format!("*,{pattern}").parse::<Sources>(),
                Err(SourcesError::Pattern(pattern.strip_prefix('!').unwrap_or(pattern).to_owned())),
                "{pattern:?}"
            );
        }
        assert_eq!("*".repeat(65).parse::<Sources>(), Err(SourcesError::Pattern("*".repeat(65))));
    }

    #[test]
    fn a_list_may_have_64_patterns() {
        assert!(vec!["::1"; SOURCE_PATTERNS].join(",").parse::<Sources>().is_ok());
        assert_eq!(vec!["::1"; SOURCE_PATTERNS + 1].join(",").parse::<Sources>(), Err(SourcesError::TooMany));
    }
}
