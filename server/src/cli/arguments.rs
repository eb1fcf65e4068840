//! What the command line of `server` can say.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use common::duration;
use common::endpoint::Endpoint;
use common::keys::authorized_keys::Options;

use crate::logging::{LogFormat, LogLevel};

/// Runs commands for the clients that connect, and tells them the truth about what happened.
#[derive(Debug, Parser)]
#[command(version = version(), args_conflicts_with_subcommands = false)]
pub(super) struct Arguments {
    /// What to do; without one, to serve.
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
    /// The settings, instead of server.toml in the user's directory or in /etc/telex.
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Address to listen on: host:port, [v6]:port or unix:/path; repeatable. For serving, `check` and `invite`.
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub(super) listen: Vec<Endpoint>,
    /// Serve the one connection that is stdin, and end with it.
    #[arg(long, conflicts_with = "listen")]
    pub(super) inetd: bool,
    /// How log lines look.
    #[arg(long, value_enum)]
    pub(super) log_format: Option<LogFormat>,
    /// How much is logged.
    #[arg(long, value_enum)]
    pub(super) log_level: Option<LogLevel>,
}

impl Arguments {
    /// What the command line says.
    ///
    /// # Errors
    /// clap's, also for an address to a command that does not ask where the server listens: it would have no effect.
    pub(super) fn read() -> Result<Self, clap::Error> {
        let arguments = Self::try_parse()?;
        match arguments.verb {
            Some(
                Verb::Key | Verb::Keys | Verb::Authorize { .. } | Verb::Revoke { .. } | Verb::Upgrade { .. },
            ) if !arguments.listen.is_empty() => {
                let message = "--listen is for a server that serves, `check` and `invite`";
                Err(Self::command().error(ErrorKind::ArgumentConflict, message))
            }
            _ => Ok(arguments),
        }
    }
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Say whether a server with these settings would start, and who could use it.
    Check,
    /// Print this server's own public key and its fingerprint.
    Key,
    /// List the keys that may connect.
    Keys,
    /// Let a key in.
    Authorize {
        /// What `client key` prints; options of authorized_keys may stand before it.
        #[arg(value_name = "KEY")]
        line: String,
    },
    /// Let a key in no more. Its connections end within 2 s.
    Revoke {
        /// Its fingerprint, SHA256:…, or the key itself.
        #[arg(value_name = "FINGERPRINT")]
        key: String,
    },
    /// Have the server that runs become the program that is in its file now. Nobody who connects is refused.
    Upgrade {
        /// The server's process id, if there are several.
        #[arg(long, value_name = "PID")]
        pid: Option<u32>,
    },
    /// What a server asks the program that is to take over.
    #[command(hide = true)]
    HandoverCheck,
    /// Print a line with which somebody can join, once: `client join LINE`.
    Invite {
        /// How long it is good: 10m, 24h, …
        #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse_limit)]
        ttl: Duration,
        /// Options for the key that is let in by it, as in authorized_keys.
        #[arg(long, value_name = "OPTIONS", default_value = "")]
        options: Options,
        /// Where clients reach this server: host:port.
        #[arg(long, value_name = "ADDRESS")]
        address: Option<Endpoint>,
    },
}

/// The version, with the commit that a release is built from.
pub(super) fn version() -> String {
    let number = env!("CARGO_PKG_VERSION");
    option_env!("TELEX_COMMIT").map_or_else(|| number.to_owned(), |commit| format!("{number} ({commit})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }
}
