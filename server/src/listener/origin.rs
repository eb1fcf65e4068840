//! Why a server listens where it does: what tells, after a restart or an upgrade, whether it still should.

use std::fmt;
use std::str::FromStr;

use common::endpoint::Endpoint;

/// How the names begin that our listeners have with a service manager.
const PREFIX: &str = "telex-";

/// Longest name that it takes (sd_pid_notify_with_fds(3), `FDNAME=`).
const NAME_MAX: usize = 255;

/// Where a listener comes from. Its text reads back, and has no colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is one of those of a server that was told none.
    Default,
    /// The settings or the command line name it so.
    Named(Endpoint),
    /// A service manager has bound it, and calls it so.
    Passed(String),
}

impl Origin {
    /// Whether somebody else is answerable for it.
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Passed(_))
    }

    /// The name under which a service manager keeps it over a restart. `None` if it need not, because the listener is its
    /// own, or cannot.
    pub(crate) fn stored_name(&self) -> Option<String> {
        let name = (!self.is_foreign()).then(|| format!("{PREFIX}{self}"));
        name.filter(|name| name.len() <= NAME_MAX)
    }

    /// Where a listener comes from that a service manager has passed on by this name.
    pub(crate) fn of_name(name: &str) -> Self {
        let stored = name.strip_prefix(PREFIX).and_then(|text| text.parse().ok());
        // Whoever names a socket of a unit so does not make it ours.
        stored.filter(|origin: &Self| !origin.is_foreign()).unwrap_or_else(|| Self::Passed(name.to_owned()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Named(endpoint) => write!(f, "named-{}", escaped(&endpoint.to_string())),
            Self::Passed(name) => write!(f, "passed-{}", escaped(name)),
        }
    }
}

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        if text == "default" {
            return Ok(Self::Default);
        }
        if let Some(name) = text.strip_prefix("passed-") {
            return unescaped(name).map(Self::Passed).ok_or(NoOrigin);
        }
        let endpoint = text.strip_prefix("named-").and_then(unescaped).ok_or(NoOrigin)?;
        endpoint.parse().map(Self::Named).map_err(|_| NoOrigin)
    }
}

/// The text is none of an [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoOrigin;

/// `%XX` for every byte that is no letter, digit, dot, slash, underscore or dash.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./_-".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_reads_back_and_has_a_name_that_a_service_manager_takes() {
        for text in
            ["127.0.0.1:9000", "[::1]:0", "[fe80::1%eth0]:9", "unix:/run/a b/ö%41:s.sock", "localhost:1"]
        {
            let origin = Origin::Named(text.parse().unwrap());
            let name = origin.stored_name().unwrap();
            assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{name}");
            assert_eq!(Origin::of_name(&name), origin, "{name}");
            assert_eq!(origin.to_string().parse(), Ok(origin));
        }
        assert_eq!(Origin::of_name("telex-default"), Origin::Default);
        let long = Origin::Named(format!("unix:/{}", "x".repeat(300)).parse().unwrap());
        assert_eq!(long.stored_name(), None);
    }

    #[test]
    fn what_a_service_manager_names_itself_is_its_own() {
        for name in [
            "telexd.socket",
            "unknown",
            "",
            "stored",
            "telex-",
            "telex-named-%zz",
            "telex-passed-x",
            "telex-named-%F",
        ] {
            assert_eq!(Origin::of_name(name), Origin::Passed(name.to_owned()));
        }
        let passed = Origin::Passed("a:b".to_owned());
        assert_eq!(passed.stored_name(), None);
        assert_eq!(passed.to_string().parse(), Ok(passed));
    }
}
