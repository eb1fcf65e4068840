//! What one program tells the next: a line with a version and two lengths, an object of JSON, and the jobs' own bytes. A
//! program reads the records of all programs before it.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use common::endpoint::Endpoint;
use serde::{Deserialize, Serialize};

use super::{HandedJobs, HandoverError};
use crate::listener::{Given, Origin};

/// How a record begins.
const MAGIC: &str = "telex handover";

/// The newest version. Whoever adds a field that may be ignored, and has a default, leaves it as it is.
const VERSION: u32 = 1;

/// Longest first line that is looked at.
const LINE: usize = 128;

/// What a server was when it was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The file of the program, as bytes.
    program: Vec<u8>,
    /// Whether it ends with the terminal that it was started on.
    pub(crate) ends_with_terminal: bool,
    /// How many programs were handed over before, in this process.
    pub(crate) upgrades: u32,
    /// Its listeners.
    pub(crate) listeners: Vec<ListenerRecord>,
    /// The form of `jobs`.
    jobs_format: u16,
    /// The descriptors of which `jobs` speaks.
    pub(crate) jobs_descriptors: Vec<RawFd>,
    /// See [`HandedJobs::state`].
    #[serde(skip)]
    pub(crate) jobs: Vec<u8>,
}

/// A listener of such a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListenerRecord {
    pub(super) origin: String,
    pub(super) endpoint: String,
    pub(super) descriptor: RawFd,
    pub(super) lock: Option<RawFd>,
}

impl Record {
    /// Of a server without jobs.
    pub(crate) fn new(
        program: &Path,
        ends_with_terminal: bool,
        upgrades: u32,
        listeners: Vec<ListenerRecord>,
    ) -> Self {
        Self {
            program: program.as_os_str().as_bytes().to_vec(),
            ends_with_terminal,
            upgrades,
            listeners,
            jobs_format: HandedJobs::FORMAT,
            jobs_descriptors: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// With jobs: what they say of themselves, and the descriptors that it speaks of.
    pub(crate) fn with_jobs<'a>(
        mut self,
        state: Vec<u8>,
        descriptors: impl Iterator<Item = BorrowedFd<'a>>,
    ) -> Self {
        self.jobs = state;
        self.jobs_descriptors = descriptors.map(|descriptor| descriptor.as_raw_fd()).collect();
        self
    }

    /// The file of the program.
    pub(crate) fn program(&self) -> PathBuf {
        OsString::from_vec(self.program.clone()).into()
    }

    /// As bytes.
    pub(super) fn encode(&self) -> Result<Vec<u8>, HandoverError> {
        let object = serde_json::to_vec(self).map_err(|error| malformed(&error))?;
        let line = format!("{MAGIC} {VERSION} {} {}\n", object.len(), self.jobs.len());
        Ok([line.as_bytes(), &object, &self.jobs].concat())
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`HandoverError`] for anything that is not whole, is no record, or of a version to come.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HandoverError> {
        let no_record = || malformed(&"it does not begin as a record does");
        let line = bytes.iter().take(LINE).position(|byte| *byte == b'\n').ok_or_else(no_record)?;
        let (line, rest) = bytes.split_at_checked(line).ok_or_else(no_record)?;
        let line = std::str::from_utf8(line).map_err(|_| no_record())?;
        let numbers = line.strip_prefix(MAGIC).ok_or_else(no_record)?;
        let mut numbers = numbers.split(' ').skip(1);
        let version = next_number(&mut numbers).and_then(|number| u32::try_from(number).ok());
        let version = version.ok_or_else(no_record)?;
        if version > VERSION {
            // What is behind the version may look different, then.
            return Err(HandoverError::Newer { found: version, known: VERSION });
        }
        let (object, jobs) =
            next_number(&mut numbers).zip(next_number(&mut numbers)).ok_or_else(no_record)?;
        let rest = rest.get(1..).unwrap_or_default();
        if object.checked_add(jobs) != Some(rest.len()) || numbers.next().is_some() {
            return Err(malformed(&"it is not as long as it says"));
        }
        let (object, jobs) = rest.split_at_checked(object).ok_or_else(no_record)?;
        let mut record: Self = serde_json::from_slice(object).map_err(|error| malformed(&error))?;
        record.jobs = jobs.to_vec();
        record.check()
    }

    fn check(self) -> Result<Self, HandoverError> {
        let (found, known) = (self.jobs_format, HandedJobs::FORMAT);
        if found > known {
            return Err(HandoverError::NewerJobs { found, known });
        }
        for listener in &self.listeners {
            listener.given()?;
        }
        Ok(self)
    }
}

impl ListenerRecord {
    /// Why it is one.
    pub(super) fn origin(&self) -> Result<Origin, HandoverError> {
        self.origin.parse().map_err(|_| malformed(&format!("{:?} is no origin of a listener", self.origin)))
    }

    /// What is known of it without having it.
    pub(crate) fn given(&self) -> Result<Given<()>, HandoverError> {
        let endpoint: Endpoint = self.endpoint.parse().map_err(|error| malformed(&error))?;
        Ok(Given { origin: self.origin()?, endpoint, listener: () })
    }
}

fn next_number<'a>(numbers: &mut impl Iterator<Item = &'a str>) -> Option<usize> {
    numbers.next()?.parse().ok()
}

fn malformed(reason: &impl ToString) -> HandoverError {
    HandoverError::Malformed(reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let listener = ListenerRecord {
            origin: "named-127.0.0.1%3A0".to_owned(),
            endpoint: "127.0.0.1:40001".to_owned(),
            descriptor: 9,
            lock: None,
        };
        let socket = ListenerRecord {
            origin: "default".to_owned(),
            endpoint: "unix:/run/s".to_owned(),
            descriptor: 10,
            lock: Some(11),
        };
        let mut record = Record::new(Path::new("/opt/telexd"), true, 3, vec![listener, socket]);
        record.jobs = b"\0\n\xffanything".to_vec();
        record.jobs_descriptors = vec![12, 13];
        record
    }

    /// What version 1 looks like: programs to come have to read it.
    const FIRST: &str = concat!(
        "telex handover 1 184 0\n",
        r#"{"program":[47,120],"ends_with_terminal":false,"upgrades":0,"#,
        r#""listeners":[{"origin":"default","endpoint":"[::1]:9000","descriptor":9,"lock":null}],"#,
        r#""jobs_format":1,"jobs_descriptors":[]}"#
    );

    #[test]
    fn a_record_reads_back() {
        let record = record();
        assert_eq!(Record::decode(&record.encode().unwrap()).unwrap(), record);
        let first = Record::decode(FIRST.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(first.encode().unwrap()).unwrap(), FIRST);
        assert_eq!(first.program(), Path::new("/x"));
    }

    #[test]
    fn a_record_that_is_not_whole_is_refused() {
        let bytes = record().encode().unwrap();
        for length in 0..bytes.len() {
            assert!(Record::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Record::decode(&[&bytes[..], b"x"].concat()).is_err());
        for text in [
            "telex handover 1 18446744073709551615 1\n",
            "telex handover 1 0 0\n",
            "telex handover 1 2 0 0\n{}",
        ] {
            assert!(matches!(Record::decode(text.as_bytes()), Err(HandoverError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_record_with_a_bit_flipped_ends_nobody() {
        let bytes = record().encode().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            Record::decode(&flipped).ok();
        }
    }

    #[test]
    fn what_is_newer_is_said_to_be() {
        let newer = FIRST.replacen("handover 1 184 0", "handover 2 x", 1);
        assert!(matches!(
            Record::decode(newer.as_bytes()),
            Err(HandoverError::Newer { found: 2, known: VERSION })
        ));
        let newer = FIRST.replacen("\"jobs_format\":1", "\"jobs_format\":9", 1);
        assert!(matches!(Record::decode(newer.as_bytes()), Err(HandoverError::NewerJobs { found: 9, .. })));
        // What is added, and may be ignored, is.
        let more =
            FIRST.replacen("1 184 0", "1 192 0", 1).replacen("{\"program\"", "{\"new\":1,\"program\"", 1);
        assert!(Record::decode(more.as_bytes()).is_ok());
    }
}
