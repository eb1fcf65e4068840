//! The name of a job, the same on every connection and after every restart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A job's id: chosen by the client before anything is sent, so that a repeated start can be recognised.
///
/// 1 to 64 bytes of text without control characters or white space. [`JobId::random`] makes 128 random bits in
/// hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// Most bytes that an id may have.
    pub const MAX_LEN: usize = 64;

    /// A new id from the system's random source.
    ///
    /// # Errors
    /// The system's error if its random source fails.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bits))))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl TryFrom<String> for JobId {
    type Error = JobIdError;

    fn try_from(text: String) -> Result<Self, JobIdError> {
        if text.is_empty() || text.len() > Self::MAX_LEN {
            return Err(JobIdError::Length { length: text.len() });
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(JobIdError::Character);
        }
        Ok(Self(text))
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        Self::try_from(text.to_owned())
    }
}

/// A text that cannot be a job id. The fault of whoever chose it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobIdError {
    /// Empty or too long.
    #[error("a job id has 1 to 64 bytes, not {length}")]
    Length {
        /// Its length in bytes.
        length: usize,
    },
    /// Control character or white space.
    #[error("a job id has no white space and no control characters")]
    Character,
}
