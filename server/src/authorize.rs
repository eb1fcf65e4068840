//! Who may do what. The one place that every action passes; it decides, and does nothing.

use std::fmt;
use std::net::SocketAddr;

use common::job::{ByteString, Extras, Program, Spec, Variable};
use common::keys::PublicKey;
use common::keys::authorized_keys::Options;
use common::message::Order;
use thiserror::Error;

/// Names that a restricted key may give variables; `LC_…` beside them. They say how output looks, and steer no program
/// to code of the client's choice.
const HARMLESS_VARIABLES: [&str; 3] = ["LANG", "TERM", "COLORTERM"];

/// What a forced command finds the client's own command in.
const ORIGINAL_COMMAND: &str = "TELEX_ORIGINAL_COMMAND";

/// The other end of a connection, before anything is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remote {
    /// An address of the network.
    Tcp(SocketAddr),
    /// A process of this user on this machine.
    Unix {
        /// Its user id, as the system knows it.
        uid: u32,
    },
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { uid } => write!(f, "uid {uid}"),
        }
    }
}

/// The other end of a connection, as the transport has proven it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The owner of a key, over TCP.
    Key {
        /// Where it is.
        address: SocketAddr,
        /// What it has proven to own in this connection's handshake.
        key: PublicKey,
    },
    /// A process of this user on this machine.
    User {
        /// Its user id.
        uid: u32,
    },
}

impl Peer {
    /// Where it is.
    pub(crate) fn remote(&self) -> Remote {
        match self {
            Self::Key { address, .. } => Remote::Tcp(*address),
            Self::User { uid } => Remote::Unix { uid: *uid },
        }
    }

    /// The key that it has proven to own, if it has one.
    pub(crate) fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key { key, .. } => Some(key),
            Self::User { .. } => None,
        }
    }
}

/// Whose jobs are whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Whoever owns this key, wherever they are.
    Key(PublicKey),
    /// A user of this machine.
    User(u32),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fingerprint().fmt(f),
            Self::User(uid) => write!(f, "uid {uid}"),
        }
    }
}

/// A peer that has been let in, and on which conditions. Only [`crate::login`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    peer: Peer,
    options: Options,
}

impl Principal {
    /// A peer whose key a line of `authorized_keys` with these options lets in, or the server's own user.
    pub(crate) fn let_in(peer: Peer, options: Options) -> Self {
        Self { peer, options }
    }

    /// Who it is.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whose its jobs are.
    pub(crate) fn owner(&self) -> Owner {
        match self.peer {
            Peer::Key { key, .. } => Owner::Key(key),
            Peer::User { uid } => Owner::User(uid),
        }
    }

    /// On which conditions.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }
}

/// What a client wants.
#[derive(Debug)]
pub(crate) enum Action<'a> {
    /// A sign of life.
    Ping,
    /// A job, and what is asked for beyond its specification, which is made what may be run.
    Start(&'a mut Spec, &'a Extras),
    /// Hold of a job of its own.
    Attach,
    /// This order to a job that it has hold of.
    Order(&'a Order),
    /// To see which jobs are its own.
    List,
    /// To have a job of its own forgotten.
    Forget,
}

/// Whether `principal` may do `action`.
///
/// # Errors
/// Why not. The client may know.
pub(crate) fn authorize(principal: &Principal, action: Action<'_>) -> Result<(), Denial> {
    match action {
        Action::Start(spec, extras) => authorize_start(&principal.options, spec, extras),
        Action::Order(Order::Control(_)) => authorize_control(&principal.options),
        // Whose jobs are within reach is the scope's business.
        Action::Ping | Action::Attach | Action::Order(_) | Action::List | Action::Forget => Ok(()),
    }
}

/// What a job is told by its control descriptor is what it runs: not for a key that may run one thing, or not anything.
fn authorize_control(options: &Options) -> Result<(), Denial> {
    if options.is_restricted() { Err(Denial::Shell) } else { Ok(()) }
}

fn authorize_start(options: &Options, spec: &mut Spec, extras: &Extras) -> Result<(), Denial> {
    if extras.terminal.is_some() && !options.may_have_terminal() {
        return Err(Denial::Terminal);
    }
    if extras.control {
        authorize_control(options)?;
    }
    if options.is_restricted() {
        let refused = spec.environment.iter().find(|variable| !is_harmless(&variable.name));
        if let Some(variable) = refused {
            return Err(Denial::Variable { name: variable.name.to_text() });
        }
    }
    if let Some(command) = options.command() {
        if spec.directory.is_some() {
            return Err(Denial::Directory);
        }
        let original = std::mem::replace(&mut spec.program, Program::Shell(command.into()));
        spec.environment.push(Variable { name: ORIGINAL_COMMAND.into(), value: command_line(original) });
    }
    // The key's come last, and so count.
    spec.environment.extend(
        options
            .environment()
            .iter()
            .map(|(name, value)| Variable { name: name.as_str().into(), value: value.as_str().into() }),
    );
    Ok(())
}

/// What the client of a forced command had asked for, in a specification that was authorised.
pub(crate) fn original_command(spec: &Spec) -> Option<&ByteString> {
    let variable = spec.environment.iter().find(|variable| variable.name.0 == ORIGINAL_COMMAND.as_bytes());
    variable.map(|variable| &variable.value)
}

fn is_harmless(name: &ByteString) -> bool {
    HARMLESS_VARIABLES.iter().any(|harmless| name.0 == harmless.as_bytes()) || name.0.starts_with(b"LC_")
}

/// What the client asked for, in one string: its own, or its words quoted so that a shell would split them again.
fn command_line(program: Program) -> ByteString {
    match program {
        Program::Shell(text) => text,
        Program::LoginShell => ByteString::default(),
        Program::Argv(words) => {
            ByteString(words.iter().map(|word| quoted(&word.0)).collect::<Vec<_>>().join(&b' '))
        }
    }
}

fn quoted(word: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        return word.to_vec();
    }
    let mut quoted = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Why a principal may not do what it wants.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Denial {
    /// The key is restricted.
    #[error("this key may not set the variable {name}")]
    Variable {
        /// The variable.
        name: String,
    },
    /// The key has no `pty`.
    #[error("this key may not have a terminal")]
    Terminal,
    /// The key is restricted, or for one command.
    #[error("this key may not have an interactive shell")]
    Shell,
    /// The key is for one command, which has its own idea of where it runs.
    #[error("this key may not choose a directory")]
    Directory,
}

#[cfg(test)]
mod tests {
    use common::job::Terminal;

    use super::*;

    /// What becomes of a login shell on a terminal, or without one, with a key of these options.
    fn start(options: &str, terminal: bool) -> Result<Spec, Denial> {
        start_with(options, &Extras { terminal: terminal.then(Terminal::default), control: false })
    }

    fn start_with(options: &str, extras: &Extras) -> Result<Spec, Denial> {
        let principal = principal(options);
        let mut spec = Spec::new(Program::LoginShell);
        authorize(&principal, Action::Start(&mut spec, extras)).map(|()| spec)
    }

    fn principal(options: &str) -> Principal {
        Principal::let_in(Peer::User { uid: 1 }, options.parse().unwrap())
    }

    #[test]
    fn control_is_for_keys_that_may_run_anything_whenever_it_is_wanted() {
        let control = Extras { terminal: None, control: true };
        let order = Order::Control("reboot".into());
        for options in ["restrict", "restrict,pty", r#"command="make""#] {
            assert_eq!(start_with(options, &control), Err(Denial::Shell), "{options}");
            let principal = principal(options);
            assert_eq!(authorize(&principal, Action::Order(&order)), Err(Denial::Shell), "{options}");
            assert_eq!(authorize(&principal, Action::Order(&Order::Cancel)), Ok(()), "{options}");
        }
        for options in ["", "no-pty"] {
            assert!(start_with(options, &control).is_ok(), "{options}");
            assert_eq!(authorize(&principal(options), Action::Order(&order)), Ok(()), "{options}");
        }
    }

    #[test]
    fn a_terminal_is_for_keys_that_may_have_one() {
        for (options, may) in [("", true), ("no-pty", false), ("restrict", false), ("restrict,pty", true)] {
            assert_eq!(start(options, true).is_ok(), may, "{options}");
            assert!(start(options, false).is_ok(), "{options}");
        }
        assert_eq!(start("restrict", true), Err(Denial::Terminal));
    }

    #[test]
    fn a_forced_command_runs_in_place_of_a_login_shell_and_hears_of_no_words() {
        let spec = start(r#"command="make""#, true).unwrap();
        assert_eq!(spec.program, Program::Shell("make".into()));
        assert_eq!(original_command(&spec), Some(&ByteString::default()));
    }
}
