//! Every event with everything that it can hold: a new one does not compile until it has its place here.

use std::iter::successors;

use common::frame::StreamId;
use common::job::{
    ByteString, Ended, Extras, JobId, Outcome, PeakMemory, Program, Signal, Spec, StartFailure, StreamTotal,
    Terminal, Usage, Variable, WindowSize,
};
use common::keys::{Fingerprint, PublicKey};
use common::limits;
use common::message::Order;

use super::*;
use crate::admission::ConnectionId;
use crate::authorize::{Owner, Remote};

pub(super) const CONNECTION: ConnectionId = ConnectionId(u64::MAX);

pub(super) fn peer() -> Remote {
    Remote::Tcp("[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535".parse().unwrap())
}

pub(super) fn owner() -> Owner {
    Owner::Key(PublicKey::from_bytes([0xff; 32]))
}

/// The longest id.
pub(super) fn job() -> JobId {
    "\"".repeat(JobId::MAX_LEN).parse().unwrap()
}

pub(super) fn spec(program: Program, text: &[u8]) -> Spec {
    let variable = || Variable { name: ByteString(text.to_vec()), value: "hunter2".into() };
    Spec {
        directory: Some(ByteString(text.to_vec())),
        environment: vec![variable(), variable()],
        ..Spec::new(program)
    }
}

/// Something of each kind.
static EXTRAS: Extras = Extras {
    terminal: Some(Terminal {
        name: ByteString(Vec::new()),
        size: WindowSize { rows: 0, columns: 0, width: 0, height: 0 },
        modes: Vec::new(),
    }),
    control: true,
};

pub(super) fn start<'a>(job: &'a JobId, spec: &'a Spec, original: Option<&'a ByteString>) -> Event<'a> {
    Event::JobStart(JobStart { connection: CONNECTION, job, owner: owner(), spec, extras: &EXTRAS, original })
}

pub(super) fn end<'a>(job: &'a JobId, ended: &'a Ended) -> Event<'a> {
    Event::JobEnd(JobEnd { connection: Some(CONNECTION), owner: owner(), job, ended })
}

/// An end with numbers as long as they come.
pub(super) fn ended(outcome: Outcome, peak_memory: Option<PeakMemory>) -> Ended {
    let totals = [StreamId::Stdout, StreamId::Stderr].map(|stream| StreamTotal { stream, bytes: u64::MAX });
    Ended {
        outcome,
        totals: totals.to_vec(),
        stdin_consumed: u64::MAX,
        output_left_open: false,
        out_of_memory: false,
        wall_us: u64::MAX,
        usage: peak_memory.map(|peak_memory| Usage { cpu_us: u64::MAX, peak_memory }),
    }
}

/// What the events borrow: the same text wherever somebody else chooses one, and numbers as long as they come.
pub(super) struct Samples {
    text: String,
    original: ByteString,
    job: JobId,
    specs: [Spec; 3],
    ends: Vec<Ended>,
}

impl Samples {
    /// Texts that have to be UTF-8 are so, as nearly as can be.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let original = ByteString(bytes.to_vec());
        // As many words as there may be, unless one is too long already.
        let count = if bytes.len() < 64 { limits::ARGUMENTS } else { 2 };
        let argv = Program::Argv(vec![original.clone(); count]);
        let specs =
            [argv, Program::Shell(original.clone()), Program::LoginShell].map(|program| spec(program, bytes));
        let peaks = [None, Some(PeakMemory::Exactly(u64::MAX)), Some(PeakMemory::AtMost(u64::MAX))];
        let ends =
            outcomes(&text).into_iter().flat_map(|outcome| peaks.map(|peak| ended(outcome.clone(), peak)));
        Self { ends: ends.collect(), text, original, job: job(), specs }
    }

    /// All events, those of one kind behind each other.
    pub(super) fn events(&self) -> Vec<Event<'_>> {
        let mut events = Vec::new();
        loop {
            let next = self.behind(events.last());
            if next.is_empty() {
                return events;
            }
            events.extend(next);
        }
    }

    /// All events of the kind that comes after that of `event`; none after the last.
    fn behind(&self, event: Option<&Event<'_>>) -> Vec<Event<'_>> {
        match event {
            None => server_changes().map(Event::Server).collect(),
            Some(Event::Server(_)) => self.connections(),
            Some(Event::Connection { .. }) => self.authentications(),
            Some(Event::Authentication(_)) => {
                vec![Event::ProtocolViolation { connection: CONNECTION, peer: peer(), reason: &self.text }]
            }
            Some(Event::ProtocolViolation { .. }) => {
                self.specs.iter().map(|spec| start(&self.job, spec, Some(&self.original))).collect()
            }
            Some(Event::JobStart(_)) => {
                let (connection, job, owner) = (CONNECTION, &self.job, owner());
                vec![Event::JobRefused { connection, job, owner, reason: &self.text }]
            }
            Some(Event::JobRefused { .. }) => self.ends(),
            Some(Event::JobEnd(_)) => self.interventions(),
            Some(Event::JobIntervention(_)) => self.enrolments(),
            Some(Event::Enrolment(_)) => Vec::new(),
        }
    }

    fn connections(&self) -> Vec<Event<'_>> {
        let change = |peer| {
            connection_changes(&self.text).map(move |change| Event::Connection {
                connection: CONNECTION,
                peer,
                change,
            })
        };
        [peer(), Remote::Unix { uid: u32::MAX }].into_iter().flat_map(change).collect()
    }

    fn authentications(&self) -> Vec<Event<'_>> {
        let authentication = |verdict| {
            Event::Authentication(Authentication {
                connection: CONNECTION,
                peer: peer(),
                method: "peer_credentials",
                fingerprint: Some(fingerprint()),
                user: &self.text,
                verdict,
            })
        };
        verdicts(&self.text).map(authentication).collect()
    }

    fn ends(&self) -> Vec<Event<'_>> {
        self.ends.iter().map(|ended| end(&self.job, ended)).collect()
    }

    fn interventions(&self) -> Vec<Event<'_>> {
        let intervention = |deed| {
            let (principal, owner) = (owner(), owner());
            Event::JobIntervention(JobIntervention {
                connection: CONNECTION,
                job: &self.job,
                principal,
                owner,
                deed,
            })
        };
        deeds().map(intervention).collect()
    }

    fn enrolments(&self) -> Vec<Event<'_>> {
        let enrolment = |verdict| {
            Event::Enrolment(Enrolment {
                connection: CONNECTION,
                peer: peer(),
                fingerprint: fingerprint(),
                invitation: &self.text,
                verdict,
            })
        };
        verdicts(&self.text).map(enrolment).collect()
    }
}

fn fingerprint() -> Fingerprint {
    Fingerprint::from_bytes([0xff; 32])
}

fn server_changes() -> impl Iterator<Item = ServerChange> {
    successors(Some(ServerChange::Started), |change| match change {
        ServerChange::Started => Some(ServerChange::Stopping),
        ServerChange::Stopping => Some(ServerChange::Reloaded),
        ServerChange::Reloaded => Some(ServerChange::HandingOver),
        ServerChange::HandingOver => None,
    })
}

fn connection_changes(text: &str) -> impl Iterator<Item = ConnectionChange<'_>> {
    successors(Some(ConnectionChange::Opened), move |change| match change {
        ConnectionChange::Opened => Some(ConnectionChange::Closed),
        ConnectionChange::Closed => Some(ConnectionChange::Ended(text)),
        ConnectionChange::Ended(_) => None,
    })
}

fn deeds() -> impl Iterator<Item = Deed> {
    successors(Some(Deed::Attach), |deed| match deed {
        Deed::Attach => Some(Deed::Order(Order::Signal(Signal::KILL))),
        Deed::Order(Order::Signal(_)) => Some(Deed::Order(Order::Cancel)),
        Deed::Order(Order::Cancel) => Some(Deed::Order(Order::Keep)),
        Deed::Order(Order::Keep) => Some(Deed::Order(Order::Resize(WindowSize::default()))),
        Deed::Order(Order::Resize(_)) => Some(Deed::Order(Order::Control("".into()))),
        Deed::Order(Order::Control(_)) => Some(Deed::Forget),
        Deed::Forget => None,
    })
}

fn verdicts(text: &str) -> impl Iterator<Item = Verdict<'_>> {
    successors(Some(Verdict::Accepted), move |verdict| match verdict {
        Verdict::Accepted => Some(Verdict::Refused(text)),
        Verdict::Refused(_) => None,
    })
}

fn outcomes(text: &str) -> Vec<Outcome> {
    let text = || text.to_owned();
    let outcomes = successors(Some(Outcome::Exited(u8::MAX)), |outcome| match outcome {
        Outcome::Exited(_) => Some(Outcome::Signaled { signal: Signal::KILL, core_dumped: false }),
        Outcome::Signaled { .. } => Some(Outcome::TimedOut),
        Outcome::TimedOut => Some(Outcome::Cancelled),
        Outcome::Cancelled => {
            Some(Outcome::NotStarted(StartFailure::NotFound { program: text(), searched: text() }))
        }
        Outcome::NotStarted(_) => Some(Outcome::Lost(text())),
        Outcome::Lost(_) => None,
    });
    outcomes.collect()
}
