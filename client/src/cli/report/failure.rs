//! The sentences for failures of the library: what failed, why, and what to do next. Nothing is printed here.

use std::io;

use common::config::{ConfigError, Places};
use common::connection::ConnectionError;
use common::endpoint::Endpoint;
use common::greeting::CloseCode;
use common::job::{JobId, SpecError};
use common::keys::PrivateKeyError;
use common::message::Refusal;
use common::reason::system_reason;
use common::tls::{Alert, TlsError};

use crate::access::key_path;
use crate::cli::args::INVITATION_ADVICE;
use crate::error::{Distrust, Error};

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
        Error::Job { id, refusal } => refused(id, refusal),
        Error::Declined { id, reason } => format!("job {id} is not kept: {reason}"),
        Error::Superseded { id } => {
            format!("another client has taken over job {id}; it goes on there")
        }
        other => other.to_string(),
    }
}

/// Why something about a job is not done.
fn refused(id: &JobId, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Unknown => format!("there is no job {id} that this key may know of"),
        Refusal::Ambiguous { jobs } => format!("{jobs} jobs have an id that begins with {id}"),
        Refusal::Conflict => format!("job {id} was started with another request"),
        Refusal::Running => format!("job {id} still runs"),
        Refusal::Denied(reason) => format!("job {id}: not permitted: {reason}"),
        refusal => format!("job {id}: {refusal}"),
    }
}

fn refusal_advice(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::Unknown => Some("`client jobs --all` lists those that there are"),
        Refusal::Ambiguous { .. } => Some("write more of it; `client jobs --all` lists them"),
        Refusal::Conflict => Some("choose another id"),
        Refusal::Trimmed { .. } => Some("--from oldest begins there"),
        Refusal::Beyond { .. } => Some("--from now begins with what is written next"),
        Refusal::Running => Some("end it first (client signal), or wait for it (client wait)"),
        Refusal::Denied(_) | Refusal::Unavailable(_) => None,
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

/// What to do about it, if that is known; the last words of the sentence.
pub(crate) fn advice(error: &Error) -> Option<String> {
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
        Error::Job { refusal, .. } => refusal_advice(refusal),
        Error::TooOld { .. } => Some("upgrade it; nothing was run"),
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
        ConnectionError::Truncated | ConnectionError::Silent | ConnectionError::Stalled => {
            format!("the connection failed: {error}")
        }
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

#[cfg(test)]
mod tests {
    use common::frame::StreamId;

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
    fn of_a_server_that_is_too_old_it_is_said_what_to_do() {
        let sentence = "the server is too old: it knows no terminals; upgrade it; nothing was run";
        assert_eq!(explain(&Error::TooOld { what: "terminals" }), sentence);
    }

    #[test]
    fn each_way_in_which_a_job_is_not_to_be_had_has_its_sentence() {
        let sentence = |refusal| explain(&Error::Job { id: "j1".parse().unwrap(), refusal });
        let advice = "`client jobs --all` lists those that there are";
        assert_eq!(
            sentence(Refusal::Unknown),
            format!("there is no job j1 that this key may know of; {advice}")
        );
        assert!(
            sentence(Refusal::Ambiguous { jobs: 3 })
                .starts_with("3 jobs have an id that begins with j1; write more")
        );
        let conflict = "job j1 was started with another request; choose another id";
        assert_eq!(sentence(Refusal::Conflict), conflict);
        let trimmed = Refusal::Trimmed { stream: StreamId::Stdout, oldest: 7 };
        assert!(sentence(trimmed).starts_with("job j1: stdout is kept from byte 7 on"));
        let beyond = Refusal::Beyond { stream: StreamId::Stderr, end: 7 };
        assert!(sentence(beyond).starts_with("job j1: stderr has 7 bytes until now"));
        assert!(sentence(Refusal::Running).starts_with("job j1 still runs; end it first"));
        assert_eq!(sentence(Refusal::Denied("no".to_owned())), "job j1: not permitted: no");
        assert_eq!(sentence(Refusal::Unavailable("no".to_owned())), "job j1: the job cannot be reached: no");
        let superseded = Error::Superseded { id: "j1".parse().unwrap() };
        assert_eq!(explain(&superseded), "another client has taken over job j1; it goes on there");
    }
}
