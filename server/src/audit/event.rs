//! What is recorded: typed events, and the fields that they become. Values of variables never do.

use common::frame::StreamId;
use common::job::{ByteString, Ended, Extras, JobId, Outcome, PeakMemory, Program, Spec};
use common::keys::Fingerprint;
use common::message::Order;

use super::line::{Budget, Line};
use super::stamp::{Stamp, instance};
use crate::admission::ConnectionId;
use crate::authorize::{Owner, Remote};

/// Something that an auditor asks for later. Texts may be of any length and content.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// The server itself.
    Server(ServerChange),
    /// A connection came or went.
    Connection { connection: ConnectionId, peer: Remote, change: ConnectionChange<'a> },
    /// Somebody said who they are.
    Authentication(Authentication<'a>),
    /// A peer sent what no client of ours sends, so it is closed.
    ProtocolViolation { connection: ConnectionId, peer: Remote, reason: &'a str },
    /// A command is about to be started. Recorded before the process exists.
    JobStart(JobStart<'a>),
    /// A command was asked for, and is not started.
    JobRefused { connection: ConnectionId, job: &'a JobId, owner: Owner, reason: &'a str },
    /// A job is over.
    JobEnd(JobEnd<'a>),
    /// An administrator has done something to a job of somebody else's.
    JobIntervention(JobIntervention<'a>),
    /// Somebody came with an invitation.
    Enrolment(Enrolment<'a>),
}

/// What a server does as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerChange {
    /// It accepts connections from now on.
    Started,
    /// It ends its jobs and connections.
    Stopping,
    /// It has read its configuration again.
    Reloaded,
    /// Another program is about to take its place.
    HandingOver,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionChange<'a> {
    /// Its client was let in.
    Opened,
    /// Closed, by either side.
    Closed,
    /// Closed by the server before its client was done, and why.
    Ended(&'a str),
}

/// A decision, with the reason if it is no.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict<'a> {
    /// Yes.
    Accepted,
    /// No. The reason may say more than the peer is told.
    Refused(&'a str),
}

/// See [`Event::Authentication`].
#[derive(Debug)]
pub(crate) struct Authentication<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) peer: Remote,
    /// How: `public_key`, `peer_credentials`.
    pub(crate) method: &'static str,
    /// The key that was proven, if there is one.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// The user that was asked for; empty for the server's own.
    pub(crate) user: &'a str,
    pub(crate) verdict: Verdict<'a>,
}

/// See [`Event::JobStart`].
#[derive(Debug)]
pub(crate) struct JobStart<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) job: &'a JobId,
    pub(crate) owner: Owner,
    /// What is run.
    pub(crate) spec: &'a Spec,
    /// What it has beyond its specification.
    pub(crate) extras: &'a Extras,
    /// What the client asked for instead, if its key is for one command.
    pub(crate) original: Option<&'a ByteString>,
}

/// See [`Event::JobEnd`].
#[derive(Debug)]
pub(crate) struct JobEnd<'a> {
    /// The one that it was started over; `None` if that was to another server.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) owner: Owner,
    pub(crate) job: &'a JobId,
    pub(crate) ended: &'a Ended,
}

/// See [`Event::JobIntervention`].
#[derive(Debug)]
pub(crate) struct JobIntervention<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) job: &'a JobId,
    /// Who has done it.
    pub(crate) principal: Owner,
    /// Whose job it is.
    pub(crate) owner: Owner,
    pub(crate) deed: Deed,
}

/// What can be done to a job of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// To take the place of its client: its stdin, its orders, and whether it goes on.
    Attach,
    /// To give it an order.
    Order(Order),
    /// To have it forgotten, with its output.
    Forget,
}

/// See [`Event::Enrolment`].
#[derive(Debug)]
pub(crate) struct Enrolment<'a> {
    pub(crate) connection: ConnectionId,
    pub(crate) peer: Remote,
    pub(crate) fingerprint: Fingerprint,
    /// The invitation's id; never its token.
    pub(crate) invitation: &'a str,
    pub(crate) verdict: Verdict<'a>,
}

impl Event<'_> {
    /// Whether the disk should have it before anything else happens.
    pub(super) fn is_worth_syncing(&self) -> bool {
        matches!(self, Self::JobStart(_) | Self::JobEnd(_))
    }

    /// The fields of the record. Without `commands`, nothing of a command line is among them.
    pub(super) fn line(&self, stamp: Stamp, commands: bool) -> Line {
        let mut line = Line::default();
        line.word("time", stamp.rfc3339());
        line.number("monotonic_ms", u64::try_from(stamp.monotonic.as_millis()).unwrap_or(u64::MAX));
        line.word("instance", instance().to_owned());
        line.word("event", self.name());
        match self {
            Self::Server(change) => line.word("state", change.name()),
            Self::Connection { connection, peer, change } => {
                add_peer(&mut line, *connection, *peer);
                line.word("state", change.name());
                if let ConnectionChange::Ended(reason) = change {
                    line.text("reason", reason.as_bytes(), Budget::TEXT);
                }
            }
            Self::Authentication(authentication) => authentication.add_to(&mut line),
            Self::ProtocolViolation { connection, peer, reason } => {
                add_peer(&mut line, *connection, *peer);
                line.text("reason", reason.as_bytes(), Budget::TEXT);
            }
            Self::JobStart(start) => start.add_to(&mut line, commands),
            Self::JobRefused { connection, job, owner, reason } => {
                line.number("connection", connection.0);
                line.word("job", job.as_str());
                line.word("principal", owner.to_string());
                line.text("reason", reason.as_bytes(), Budget::TEXT);
            }
            Self::JobEnd(end) => end.add_to(&mut line, commands),
            Self::JobIntervention(intervention) => intervention.add_to(&mut line),
            Self::Enrolment(enrolment) => enrolment.add_to(&mut line),
        }
        line
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Server(_) => "server",
            Self::Connection { .. } => "connection",
            Self::Authentication(_) => "authentication",
            Self::ProtocolViolation { .. } => "protocol_violation",
            Self::JobStart(_) => "job_start",
            Self::JobRefused { .. } => "job_refused",
            Self::JobEnd(_) => "job_end",
            Self::JobIntervention(_) => "job_intervention",
            Self::Enrolment(_) => "enrolment",
        }
    }
}

impl ServerChange {
    fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Reloaded => "reloaded",
            Self::HandingOver => "handing_over",
        }
    }
}

impl ConnectionChange<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed | Self::Ended(_) => "closed",
        }
    }
}

impl Verdict<'_> {
    fn add_to(self, line: &mut Line) {
        match self {
            Self::Accepted => line.word("result", "accepted"),
            Self::Refused(reason) => {
                line.word("result", "refused");
                line.text("reason", reason.as_bytes(), Budget::TEXT);
            }
        }
    }
}

impl Authentication<'_> {
    fn add_to(&self, line: &mut Line) {
        add_peer(line, self.connection, self.peer);
        line.word("method", self.method);
        if let Some(fingerprint) = self.fingerprint {
            line.word("fingerprint", fingerprint.to_string());
        }
        line.text("user", self.user.as_bytes(), Budget::TEXT);
        self.verdict.add_to(line);
    }
}

impl JobStart<'_> {
    fn add_to(&self, line: &mut Line, commands: bool) {
        line.number("connection", self.connection.0);
        line.word("job", self.job.as_str());
        line.word("principal", self.owner.to_string());
        match &self.spec.program {
            _ if !commands => {}
            Program::Argv(words) => {
                line.texts("argv", words.iter().map(|word| word.0.as_slice()), Budget::COMMAND);
            }
            Program::Shell(text) => line.text("shell", &text.0, Budget::COMMAND),
            Program::LoginShell => line.flag("login_shell", true),
        }
        if let Some(original) = self.original.filter(|_| commands) {
            line.text("original_command", &original.0, Budget::TEXT);
        }
        let names = self.spec.environment.iter().map(|variable| variable.name.0.as_slice());
        line.texts("variables", names, Budget::NAMES);
        if let Some(directory) = &self.spec.directory {
            line.text("directory", &directory.0, Budget::TEXT);
        }
        if self.extras.terminal.is_some() {
            line.flag("terminal", true);
        }
        if self.extras.control {
            line.flag("control", true);
        }
    }
}

impl JobEnd<'_> {
    fn add_to(&self, line: &mut Line, commands: bool) {
        if let Some(connection) = self.connection {
            line.number("connection", connection.0);
        }
        line.word("job", self.job.as_str());
        line.word("principal", self.owner.to_string());
        let ended = self.ended;
        add_outcome(line, &ended.outcome, commands);
        line.number("stdin_bytes", ended.stdin_consumed);
        line.number("stdout_bytes", ended.total(StreamId::Stdout).unwrap_or_default());
        line.number("stderr_bytes", ended.total(StreamId::Stderr).unwrap_or_default());
        line.seconds("wall_seconds", ended.wall());
        if let Some(usage) = ended.usage {
            line.seconds("cpu_seconds", usage.cpu());
            match usage.peak_memory {
                PeakMemory::Exactly(bytes) => line.number("peak_memory_bytes", bytes),
                PeakMemory::AtMost(bytes) => line.number("peak_memory_at_most_bytes", bytes),
            }
        }
    }
}

impl JobIntervention<'_> {
    fn add_to(&self, line: &mut Line) {
        line.number("connection", self.connection.0);
        line.word("job", self.job.as_str());
        line.word("principal", self.principal.to_string());
        line.word("owner", self.owner.to_string());
        line.word("action", self.deed.name());
        if let Deed::Order(Order::Signal(signal)) = &self.deed {
            line.word("signal", signal.to_string());
        }
    }
}

impl Deed {
    fn name(&self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Order(Order::Signal(_)) => "signal",
            Self::Order(Order::Cancel) => "cancel",
            Self::Order(Order::Keep) => "keep",
            Self::Order(Order::Resize(_)) => "resize",
            Self::Order(Order::Control(_)) => "control",
            Self::Forget => "forget",
        }
    }
}

impl Enrolment<'_> {
    fn add_to(&self, line: &mut Line) {
        add_peer(line, self.connection, self.peer);
        line.word("fingerprint", self.fingerprint.to_string());
        line.text("invitation", self.invitation.as_bytes(), Budget::TEXT);
        self.verdict.add_to(line);
    }
}

fn add_peer(line: &mut Line, connection: ConnectionId, peer: Remote) {
    line.number("connection", connection.0);
    line.word("peer", peer.to_string());
    let transport = match peer {
        Remote::Tcp(_) => "tcp",
        Remote::Unix { .. } => "unix",
    };
    line.word("transport", transport);
}

/// The outcome in the words of the client's `--json`.
fn add_outcome(line: &mut Line, outcome: &Outcome, commands: bool) {
    match outcome {
        Outcome::Exited(code) => {
            line.word("outcome", "exited");
            line.number("code", (*code).into());
        }
        Outcome::Signaled { signal, core_dumped } => {
            line.word("outcome", "signaled");
            line.word("signal", signal.to_string());
            line.flag("core_dumped", *core_dumped);
        }
        Outcome::TimedOut => line.word("outcome", "timed_out"),
        Outcome::Cancelled => line.word("outcome", "cancelled"),
        Outcome::NotStarted(failure) => {
            line.word("outcome", "not_started");
            line.word("reason", failure.name());
            // It repeats the program's name.
            if commands {
                line.text("message", failure.to_string().as_bytes(), Budget::TEXT);
            }
        }
        Outcome::Lost(known) => {
            line.word("outcome", "lost");
            line.text("message", known.as_bytes(), Budget::TEXT);
        }
    }
}
