//! One program takes the place of another in the same process (execve(2)): the new version of the server goes on where the
//! old one was, with its listeners. Whoever connects meanwhile waits; the process id stays, and so does whatever the process
//! is to others: a service, a job of a shell, a parent.
//!
//! - `record`: what one tells the other, and how that is read
//! - `memory`: where it stands meanwhile
//! - `successor`: which program it is, whether it is sound, and becoming it
//!
//! The parts in their order are `server::cli`'s. Knows nothing of what a job is: see [`HandedJobs`].

mod memory;
mod record;
mod successor;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use common::reason::system_reason;
use common::record::RecordError;
use thiserror::Error;

use crate::inherited::Inherited;
use crate::listener::{Adopted, Origin, Unusable};

pub(crate) use memory::{read_record, sealed};
pub(crate) use record::{ListenerRecord, Record};
pub(crate) use successor::{Program, SOUND, Unsound, become_successor, examine};

/// The variable that says to which process something is handed over, and in which descriptor the record is.
const VARIABLE: &str = "TELEX_HANDOVER";

/// The jobs of a server, as the program before this one has left them. Here it is that the state of attached jobs travels:
/// [`Suspended`](crate::server::Suspended) writes it, [`Server::open`](crate::server::Server) gets it.
#[derive(Debug, Default)]
pub(crate) struct HandedJobs {
    /// Whatever the jobs say of themselves, in the form [`HandedJobs::FORMAT`].
    pub(crate) state: Vec<u8>,
    /// Descriptors that `state` speaks of, by their place in this list.
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl HandedJobs {
    /// The form of `state`. Whoever changes it counts this up: a program that knows only an older form is not sound as a
    /// successor. 0: there is nothing in it.
    pub(crate) const FORMAT: u16 = 2;
}

/// What this program got from the one before it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) record: Record,
    pub(crate) listeners: Vec<Adopted>,
    pub(crate) jobs: HandedJobs,
}

/// Takes what was handed over to this process, if something was; `variable` looks up the environment.
///
/// # Errors
/// [`HandoverError`].
pub(crate) fn receive(
    inherited: &mut Inherited,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Received>, HandoverError> {
    let announced = variable(VARIABLE).and_then(|text| announced(&text, std::process::id()));
    let Some(number) = announced else { return Ok(None) };
    let memory = inherited.take(number).map_err(HandoverError::Memory)?;
    let mut record = read_record(memory)?;
    let mut take = |number: RawFd| {
        inherited.take(number).map_err(|error| HandoverError::Descriptor(number, Unusable::Unknown(error)))
    };
    let mut listeners = Vec::new();
    for listener in &record.listeners {
        let (descriptor, lock) = (take(listener.descriptor)?, listener.lock.map(&mut take).transpose()?);
        let adopted = Adopted::new(listener.origin()?, descriptor, lock);
        listeners.push(adopted.map_err(|reason| HandoverError::Descriptor(listener.descriptor, reason))?);
    }
    let descriptors = record.jobs_descriptors.iter().map(|number| take(*number)).collect::<Result<_, _>>()?;
    let jobs = HandedJobs { state: std::mem::take(&mut record.jobs), descriptors };
    Ok(Some(Received { record, listeners, jobs }))
}

/// The descriptor of the record, if it is for the process `own`: programs that it starts inherit the variable.
fn announced(text: &str, own: u32) -> Option<RawFd> {
    let (process, descriptor) = text.split_once(':')?;
    (process.parse() == Ok(own)).then(|| descriptor.parse().ok()).flatten()
}

/// What a listener is to the next program.
pub(crate) fn listener_record(
    origin: &Origin,
    endpoint: &common::endpoint::Endpoint,
    (descriptor, lock): (BorrowedFd<'_>, Option<BorrowedFd<'_>>),
) -> ListenerRecord {
    use std::os::fd::AsRawFd;
    ListenerRecord {
        origin: origin.to_string(),
        endpoint: endpoint.to_string(),
        descriptor: descriptor.as_raw_fd(),
        lock: lock.map(|lock| lock.as_fd().as_raw_fd()),
    }
}

/// Why a program cannot take over, or cannot be made to.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// What it is told is no record of a server's.
    #[error("what was handed over cannot be understood: {0}")]
    Malformed(String),
    /// It is older than the program that hands over.
    #[error("what was handed over is of a newer version ({found}) than this program knows ({known})")]
    Newer {
        /// The version that it is told.
        found: u32,
        /// The newest one that it knows.
        known: u32,
    },
    /// It does not know how to take over the jobs.
    #[error("the jobs that were handed over are of a newer form ({found}) than this program knows ({known})")]
    NewerJobs {
        /// The form that it is told.
        found: u16,
        /// The newest one that it knows.
        known: u16,
    },
    /// The record cannot be written or read.
    #[error("the record of what is handed over: {}", system_reason(.0))]
    Memory(#[source] io::Error),
    /// A descriptor of which the record speaks is not what it should be.
    #[error("descriptor {0} was handed over, and {1}")]
    Descriptor(i32, Unusable),
    /// Who is connected cannot be let go of: a disk holds them up.
    #[error("{0} connections do not end")]
    Connections(usize),
    /// Jobs do not come to a point at which they can be handed over.
    #[error("{0} jobs cannot be interrupted: a disk or the audit trail holds them up")]
    Jobs(usize),
    /// What is to be written down of a job cannot be.
    #[error("what is handed over of the jobs: {0}")]
    JobRecord(#[from] RecordError),
    /// The system does not execute the program.
    #[error("cannot be executed: {}", system_reason(.0))]
    Execute(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_process_that_is_meant_takes_over() {
        assert_eq!(announced("7:12", 7), Some(12));
        for text in ["8:12", "7:", ":12", "7", "", "/leaked", "7:x", "7:12:1"] {
            assert_eq!(announced(text, 7), None, "{text:?}");
        }
    }
}
