//! Hosts as `known_hosts` writes them: by name, by pattern, or hashed.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::super::fields::shortened;
use super::super::pattern::{admits, items, matches};
use crate::endpoint::DEFAULT_PORT;

/// Bytes of the salt of a hashed name: as many as a SHA-1 has, as OpenSSH wants it.
pub const SALT_BYTES: usize = 20;

/// Bytes of a host name: those of the longest in the DNS (RFC 1035, section 2.3.4), with a dot at the end.
const NAME_BYTES: usize = 255;

/// A server, as a line of `known_hosts` names it: `host`, or `[host]:port` where the port is not Telex' own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName {
    host: String,
    port: u16,
}

impl HostName {
    /// The server at this name or address (a version 6 one without brackets) and port. Names are the same in any case,
    /// and addresses however they are written, a version 4 one in the form of version 6 (`::ffff:192.0.2.1`) as well.
    ///
    /// # Errors
    /// For a name that a line could not hold, or would hold as something else.
    pub fn new(host: &str, port: u16) -> Result<Self, HostNameError> {
        let has_meaning = |c: char| c.is_control() || c.is_whitespace() || ",*?!|[]#@\"".contains(c);
        if host.is_empty() || host.len() > NAME_BYTES || host.contains(has_meaning) {
            return Err(HostNameError { text: shortened(host) });
        }
        let host = match host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().to_string(),
            Err(_) => host.to_ascii_lowercase(),
        };
        Ok(Self { host, port })
    }

    /// What a line may call it. With Telex' own port that is the bare name, and the name with the port as well:
    /// somebody may have written it.
    pub(super) fn names(&self) -> Vec<String> {
        let with_port = format!("[{}]:{}", self.host, self.port);
        if self.port == DEFAULT_PORT { vec![self.host.clone(), with_port] } else { vec![with_port] }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { host, port: DEFAULT_PORT } => f.write_str(host),
            Self { host, port } => write!(f, "[{host}]:{port}"),
        }
    }
}

/// A text that is no host name. The local user's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a host name that known_hosts can hold: {text:?}")]
pub struct HostNameError {
    text: String,
}

/// The host field of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hosts {
    /// A list of patterns, in small letters.
    Patterns(String),
    /// One name, hashed.
    Hashed {
        /// The key of the hash.
        salt: [u8; SALT_BYTES],
        /// HMAC-SHA1 of the name.
        hash: [u8; SALT_BYTES],
    },
}

impl Hosts {
    /// `None` for no field at all, and for one that begins like a hashed name and is none.
    pub(super) fn parse(field: &str) -> Option<Self> {
        let Some(hashed) = field.strip_prefix('|') else {
            return (!field.is_empty()).then(|| Self::Patterns(field.to_ascii_lowercase()));
        };
        let (salt, hash) = hashed.strip_prefix("1|")?.split_once('|')?;
        let decode = |text| STANDARD.decode(text).ok()?.try_into().ok();
        Some(Self::Hashed { salt: decode(salt)?, hash: decode(hash)? })
    }

    /// Whether a host of these names is one of them. A pattern behind a `!` that matches one of the names keeps the
    /// host out.
    pub(super) fn include(&self, names: &[String]) -> bool {
        match self {
            Self::Patterns(list) => {
                admits(items(list), |pattern| names.iter().any(|name| matches(pattern, name)))
            }
            Self::Hashed { salt, hash } => {
                let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                names.iter().any(|name| hmac::verify(&key, name.as_bytes(), hash).is_ok())
            }
        }
    }
}

/// The host field that hides a name: `|1|salt|hash`.
pub(super) fn hashed(host: &HostName, salt: &[u8; SALT_BYTES]) -> String {
    let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
    let hash = hmac::sign(&key, host.to_string().as_bytes());
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_without_the_port_that_goes_without_saying() {
        let table = [
            ("DB1.Example", 9000, "db1.example"),
            ("db1", 22, "[db1]:22"),
            ("10.0.0.1", 9000, "10.0.0.1"),
            ("0:0:0:0:0:0:0:1", 9000, "::1"),
            ("2001:DB8::1", 9001, "[2001:db8::1]:9001"),
            ("::ffff:127.0.0.1", 9000, "127.0.0.1"),
            ("::FFFF:a00:1", 22, "[10.0.0.1]:22"),
            ("::127.0.0.1", 9000, "::7f00:1"),
            ("fe80::1%eth0", 9001, "[fe80::1%eth0]:9001"),
            ("Größe", 9000, "größe"),
        ];
        for (host, port, written) in table {
            assert_eq!(HostName::new(host, port).unwrap().to_string(), written);
        }
    }

    #[test]
    fn a_name_that_means_something_else_in_a_line_is_refused() {
        for host in [
            "", "a b", "a,b", "*", "a?", "!a", "|1|", "[::1]", "#a", "@revoked", "a\nb", "a\u{85}b",
            "a\u{a0}b", "\"a",
        ] {
            assert_eq!(HostName::new(host, 1), Err(HostNameError { text: host.to_owned() }), "{host:?}");
        }
        assert!(HostName::new(&"a".repeat(255), 1).is_ok());
        assert!(HostName::new(&"a".repeat(256), 1).is_err());
    }

    #[test]
    fn patterns_are_about_names_and_ports() {
        let table = [
            ("db1", "db1", 9000, true),
            ("db1", "db1", 9001, false),
            ("DB1,other", "dB1", 9000, true),
            ("[db1]:9001", "db1", 9001, true),
            ("[db1]:9001", "db1", 9000, false),
            ("[db1]:9000", "db1", 9000, true),
            ("[db?]:90*", "db1", 9001, true),
            ("[::1]:9001", "::1", 9001, true),
            ("*.example,!db2.example", "db1.example", 9000, true),
            ("*.example,!db2.example", "db2.example", 9000, false),
            ("!db2.example,*", "db2.example", 9000, false),
            ("*,![db2]:9000", "db2", 9000, false),
            ("!db2", "db1", 9000, false),
            ("*", "db1", 1, true),
            (",db1,", "db1", 9000, true),
        ];
        for (field, host, port, expected) in table {
            let host = HostName::new(host, port).unwrap();
            assert_eq!(Hosts::parse(field).unwrap().include(&host.names()), expected, "{field} {host}");
        }
    }

    #[test]
    fn a_hashed_name_is_recognised() {
        // Made by `ssh-keygen -H` for `db1.example` and `[db1.example]:9001`.
        let table = [
            ("|1|1Q9ejc4O2xjoEYn0/wEGxSfsy0k=|45sQ9FY9Ed/xcIvuuzH/zBIqpJY=", "db1.example", 9000),
            ("|1|F7kCPpR2k1E6HGqCG8+RbmEYU0A=|onpv/n8fu+edvtIriiIm5BMSeQ4=", "DB1.example", 9001),
        ];
        for (field, host, port) in table {
            let host = HostName::new(host, port).unwrap();
            let hosts = Hosts::parse(field).unwrap();
            assert!(hosts.include(&host.names()));
            assert!(!hosts.include(&HostName::new("db2.example", port).unwrap().names()));
            let Hosts::Hashed { salt, .. } = hosts else { panic!("{field}") };
            assert_eq!(hashed(&host, &salt), field);
        }
    }

    #[test]
    fn what_only_begins_like_a_hashed_name_is_none() {
        let hash = STANDARD.encode([0; SALT_BYTES]);
        let short = STANDARD.encode([0; SALT_BYTES - 1]);
        for field in [
            "".to_owned(),
            "|".to_owned(),
            "|1|".to_owned(),
            format!("|2|{hash}|{hash}"),
            format!("|1|{hash}"),
            format!("|1|{short}|{hash}"),
            format!("|1|{hash}|{short}"),
            format!("|1|{hash}|{hash},db1"),
        ] {
            assert_eq!(Hosts::parse(&field), None, "{field}");
        }
        assert!(Hosts::parse(&format!("|1|{hash}|{hash}")).is_some());
    }
}
