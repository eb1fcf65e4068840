//! Where errors and outcomes of the library become sentences, and the only way to stderr.
//!
//! One line each, beginning with the program's name. The whole line is escaped, so nothing that a peer said can
//! reach the terminal as it is.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use common::config::{ConfigError, Places};
use common::connection::ConnectionError;
use common::endpoint::Endpoint;
use common::escape::escape;
use common::greeting::CloseCode;
use common::job::{Outcome, Signal, SpecError, StartFailure};
use common::keys::PrivateKeyError;
use common::reason::system_reason;
use common::tls::{Alert, TlsError};

use super::args::INVITATION_ADVICE;
use crate::access::key_path;
use crate::error::{Distrust, Error};
use crate::job::Finished;

/// How much of a message is shown: what the user wrote may be repeated in it, and be anything.
const LINE_BYTES: usize = 4096;

/// Says things to the user on stderr.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    program: String,
    quiet: bool,
}

impl Reporter {
    /// For the program of this name.
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), quiet: false }
    }

    /// Leaves out remarks from now on.
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// The name that messages begin with.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// Says what the user must know.
    pub(crate) fn say(&self, message: impl Display) {
        print(&format!("{}: {message}", self.program));
    }

    /// Says what the exit code tells as well, unless asked to be quiet.
    pub(crate) fn remark(&self, message: impl Display) {
        if !self.quiet {
            self.say(message);
        }
    }
}

/// Ends the line on which a terminal has shown `^C`, if that is where `signal` came from, so that what is said next has one
/// of its own.
pub(crate) fn end_echo(signal: Option<Signal>) {
    if signal == Some(Signal::INT) && io::stderr().is_terminal() {
        print("");
    }
}

/// Writes `line`, escaped and cut if it is very long, to stderr in one piece.
pub(crate) fn print(line: &str) {
    let shown = line.get(..line.floor_char_boundary(LINE_BYTES)).unwrap_or(line);
    let rest = if shown.len() < line.len() { "…" } else { "" };
    let line = format!("{}{rest}\n", escape(shown));
    // Nobody is left to tell that stderr is gone.
    io::stderr().write_all(line.as_bytes()).ok();
}

/// The sentence for a failure of the library: what failed, why, and what to do.
pub(crate) fn explain(error: &Error) -> String {
    match advice(error) {
        Some(advice) => format!("{}; {advice}", what_failed(error)),
        None => what_failed(error),
    }
}

/// What failed, and why.
pub(crate) fn what_failed(error: &Error) -> String {
    match error {
        Error::NotTelex { endpoint, said } => {
            format!("{endpoint} does not speak telex: it {}", what_was_said(said))
        }
        Error::Refused { code, text } => format!("{}: {text}", close_meaning(*code)),
        Error::Connection(error) => connection_failure(error),
        Error::Handshake { endpoint, error } => handshake_failure(endpoint, error),
        other => other.to_string(),
    }
}

fn handshake_failure(endpoint: &Endpoint, error: &TlsError) -> String {
    match error {
        TlsError::Refused(Alert::AccessDenied) => {
            format!("{endpoint} takes no connections from here for a while, after failed attempts")
        }
        TlsError::Refused(Alert::Busy) => format!("{endpoint} has no room for another connection"),
        TlsError::Refused(Alert::ApplicationProtocol) | TlsError::ApplicationProtocol => {
            format!("{endpoint} does not speak telex: it answered like another TLS server")
        }
        TlsError::Refused(Alert::Other(number)) => {
            format!("{endpoint} does not speak telex: it refused with TLS alert {number}")
        }
        TlsError::CannotSign(reason) => format!("cannot log in at {endpoint}: {reason}"),
        TlsError::Io(error) => format!("the connection to {endpoint} failed: {}", system_reason(error)),
        error => format!("cannot secure the connection to {endpoint}: {error}"),
    }
}

fn advice(error: &Error) -> Option<String> {
    if let Some(advice) = trust_advice(error) {
        return Some(advice);
    }
    connection_advice(error).map(str::to_owned)
}

/// What to do about keys and trust.
fn trust_advice(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoKey { path } if Places::of_user().is_ok_and(|places| key_path(&places) == *path) => {
            "make one with `client key`, and have the server let it in: server authorize '…'".to_owned()
        }
        Error::NoKey { .. } => "check the name of the file".to_owned(),
        Error::File(error) if error.path.extension().is_some_and(|end| end == "pub") => {
            "that is the public half; name the private one".to_owned()
        }
        Error::File(error) => return error.advice(),
        Error::Config(error) => match &**error {
            ConfigError::File(error) => return error.advice(),
            ConfigError::NoHome => {
                "set it to your home directory: your key and the known servers are there".to_owned()
            }
            _ => return None,
        },
        Error::Key { path, error } if matches!(**error, PrivateKeyError::Encrypted) => {
            format!(
                "add it to the ssh-agent (ssh-add {}) and pass --agent, or call from a terminal",
                path.display()
            )
        }
        Error::Invitation(_) => INVITATION_ADVICE.to_owned(),
        Error::Untrusted(server) => distrust_advice(&server.reason),
        Error::Denied(denied) => {
            let key = denied.key?;
            format!("let it in there: server authorize '{key}'")
        }
        _ => return None,
    })
}

fn distrust_advice(reason: &Distrust) -> String {
    match reason {
        Distrust::Unknown => {
            "compare with what `server key` prints there, then call from a terminal and say yes, or pass \
             --accept-new"
                .to_owned()
        }
        Distrust::Changed { path, line } => format!(
            "somebody may be between, or the server was set up anew: ask its owner, and only then remove line {line} of {}",
            path.display()
        ),
        Distrust::Unclear { path, line } => {
            format!(
                "line {line} of {} may be about it and cannot be read: mend it, or take it out",
                path.display()
            )
        }
        Distrust::Revoked { path, line } => {
            format!("line {line} of {} says so: ask its owner for another one", path.display())
        }
        Distrust::Unexpected { .. } => {
            "the invitation is for another server, or somebody is between; nothing was sent".to_owned()
        }
    }
}

fn connection_advice(error: &Error) -> Option<&'static str> {
    match error {
        Error::Handshake { error, .. } => match **error {
            TlsError::Refused(Alert::AccessDenied) => Some("try again in a minute"),
            TlsError::Refused(Alert::Busy) => Some("try again later"),
            TlsError::Refused(_) | TlsError::ApplicationProtocol => Some("check the port"),
            TlsError::Io(ref error) if error.kind() == io::ErrorKind::TimedOut => {
                Some("check the port, and whether the server is well")
            }
            _ => None,
        },
        Error::Resolve { .. } => Some("check the name"),
        Error::Connect { endpoint: Endpoint::Tcp { .. }, .. } | Error::Unreachable { .. } => {
            Some("check the address, and that a server listens there")
        }
        Error::Connect { endpoint: Endpoint::Unix(_), .. } => {
            Some("check the path, and that a server listens there")
        }
        Error::NotTelex { .. } => Some("check the port"),
        Error::Refused { code, .. } => close_advice(*code),
        Error::Connection(error) => match &**error {
            ConnectionError::ClosedByPeer { code, .. } => close_advice(*code),
            ConnectionError::GreetingTimeout { .. } => Some("check the port, and whether the server is well"),
            _ => None,
        },
        Error::Spec(SpecError::TooLong { .. } | SpecError::TooManyArguments { .. }) | Error::TooLong(_) => {
            Some("pass it through stdin or a file")
        }
        _ => None,
    }
}

fn connection_failure(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ClosedByPeer { code, text } => format!("{}: {text}", close_meaning(*code)),
        ConnectionError::Io(error) => format!("the connection failed: {}", system_reason(error)),
        ConnectionError::Truncated | ConnectionError::Stalled => format!("the connection failed: {error}"),
        ConnectionError::GreetingTimeout { .. } => format!("the server does not answer: {error}"),
        ConnectionError::Unsendable(error) => error.to_string(),
        ConnectionError::Packet(_) | ConnectionError::Stream(_) | ConnectionError::Violation(_) => {
            format!("the server broke the protocol: {error}")
        }
    }
}

fn close_meaning(code: CloseCode) -> &'static str {
    match code {
        CloseCode::Version => "the server speaks another version of telex",
        CloseCode::Denied => "the server refuses this connection",
        CloseCode::Violation => "the server says that this client broke the protocol",
        CloseCode::Busy => "the server has no room for another connection",
        CloseCode::GoingAway => "the server is stopping",
        CloseCode::TimedOut => "the server gave up waiting for this client",
        CloseCode::Internal => "the server failed",
        CloseCode::Invitation => "the server does not accept the invitation",
        CloseCode::Account => "the server refuses this user",
        CloseCode::Unknown(_) => "the server closed the connection",
    }
}

fn close_advice(code: CloseCode) -> Option<&'static str> {
    match code {
        CloseCode::Version => Some("update the older of the two"),
        CloseCode::Busy | CloseCode::GoingAway => Some("try again later"),
        CloseCode::Violation => Some("this is a bug of telex"),
        CloseCode::Internal => Some("look into the server's log"),
        CloseCode::Account => Some("leave the user out"),
        CloseCode::Invitation => Some("ask for a new one, which `server invite` makes"),
        CloseCode::Denied | CloseCode::TimedOut | CloseCode::Unknown(_) => None,
    }
}

/// What a stranger's first bytes look like.
fn what_was_said(said: &[u8]) -> String {
    match said {
        [] => "closed the connection without a word".to_owned(),
        [b'H', b'T', b'T', b'P', b'/', ..] => "answered like an HTTP server".to_owned(),
        [b'S', b'S', b'H', b'-', ..] => "answered like an SSH server".to_owned(),
        // A TLS record: alert or handshake, version 3.x.
        [0x15 | 0x16, 0x03, ..] => "answered like a TLS server".to_owned(),
        other => format!("answered \"{}\"", other.escape_ascii()),
    }
}

/// The sentence for an outcome, if there is something to say that the exit code of a command does not.
pub(crate) fn outcome(finished: &Finished, timeout: Option<Duration>, going_away: bool) -> Option<String> {
    let outcome = &finished.outcome;
    match outcome {
        Outcome::Exited(_) => None,
        Outcome::Signaled { signal: Signal::KILL, .. } if finished.out_of_memory => {
            Some(format!("{outcome} (out of memory)"))
        }
        Outcome::Signaled { .. } => Some(outcome.to_string()),
        Outcome::TimedOut => Some(match timeout {
            Some(limit) => format!("timed out after {limit:?}: the server ended the job"),
            None => "timed out: the server ended the job".to_owned(),
        }),
        Outcome::Cancelled if going_away => {
            Some("cancelled: the server is stopping and ended the job".to_owned())
        }
        Outcome::Cancelled => Some("cancelled: the server was asked to end the job".to_owned()),
        Outcome::NotStarted(failure) => Some(start_failure(failure)),
        Outcome::Lost(known) => Some(format!("the outcome is lost: {known}")),
    }
}

fn start_failure(failure: &StartFailure) -> String {
    match failure {
        StartFailure::NotFound { program, searched } if searched.is_empty() => {
            format!("{program}: not found on the server; check the path")
        }
        StartFailure::NotFound { program, searched } => {
            format!("{program}: not found in PATH on the server ({searched}); name it with its directory")
        }
        StartFailure::NotExecutable { .. } => failure.to_string(),
        StartFailure::Directory { path, reason } => {
            format!("cannot enter {path} on the server: {reason}; check --cwd")
        }
        StartFailure::Exhausted(_) => format!("not started: {failure}; try again later"),
        StartFailure::Invalid(_) | StartFailure::Refused(_) | StartFailure::Limit { .. } => {
            format!("not started: {failure}")
        }
    }
}

#[cfg(test)]
mod tests {
    use common::job::Resource;

    use super::*;

    fn not_telex(said: &[u8]) -> String {
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 8080 };
        explain(&Error::NotTelex { endpoint, said: said.to_vec() })
    }

    #[test]
    fn strangers_are_recognised() {
        let says = |what| format!("127.0.0.1:8080 does not speak telex: it {what}; check the port");
        assert_eq!(not_telex(b"HTTP/1.1 400 Bad"), says("answered like an HTTP server"));
        assert_eq!(not_telex(b"SSH-2.0-OpenSSH"), says("answered like an SSH server"));
        assert_eq!(not_telex(b"\x15\x03\x03\x00\x02"), says("answered like a TLS server"));
        assert_eq!(not_telex(b""), says("closed the connection without a word"));
        assert_eq!(not_telex(b"hi\x1b\n"), says("answered \"hi\\x1b\\n\""));
    }

    #[test]
    fn outcomes() {
        let finished = |outcome| Finished {
            outcome,
            stdout_bytes: 0,
            stderr_bytes: 0,
            stdin_consumed: 0,
            output_left_open: false,
            out_of_memory: true,
        };
        let sentence = |what| outcome(&finished(what), Some(Duration::from_millis(1500)), true);
        assert_eq!(sentence(Outcome::Exited(3)), None);
        assert_eq!(sentence(Outcome::TimedOut).unwrap(), "timed out after 1.5s: the server ended the job");
        let signaled = |signal| sentence(Outcome::Signaled { signal, core_dumped: false }).unwrap();
        assert_eq!(signaled(Signal::KILL), "killed by SIGKILL (out of memory)");
        assert_eq!(signaled(Signal::TERM), "killed by SIGTERM");
        let missing = StartFailure::NotFound { program: "foo".to_owned(), searched: "/bin".to_owned() };
        let expected = "foo: not found in PATH on the server (/bin); name it with its directory";
        assert_eq!(sentence(Outcome::NotStarted(missing)).unwrap(), expected);
        let limit = StartFailure::Limit { limit: Resource::Cpu, reason: "no controller".to_owned() };
        let expected = "not started: cannot limit processor time: no controller";
        assert_eq!(sentence(Outcome::NotStarted(limit)).unwrap(), expected);
    }
}
