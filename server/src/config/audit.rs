//! Where the audit trail goes, and what is in it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use common::config::value::{PathText, Text};
use serde::Deserialize;
use thiserror::Error;

use super::defaults;

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditSettings {
    /// Where it goes.
    pub(crate) to: AuditDestination,
    /// Whether command lines are part of it: they may hold secrets.
    pub(crate) commands: bool,
    /// What becomes of jobs that it cannot record.
    pub(crate) on_failure: OnFailure,
    /// Whether the starts and ends of jobs are on the disk before they count as recorded.
    pub(crate) sync: bool,
}

/// Where the audit trail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuditDestination {
    /// To stderr, between the log lines.
    Stderr,
    /// Nowhere.
    Off,
    /// To the end of this file.
    File(PathBuf),
}

/// What becomes of a job that cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// It is not started.
    Refuse,
    /// It runs unrecorded.
    Continue,
}

/// The keys of `[audit]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAudit {
    to: Text<DestinationText>,
    commands: bool,
    on_failure: OnFailure,
    sync: bool,
}

impl Default for RawAudit {
    fn default() -> Self {
        Self {
            to: Text(DestinationText::Stderr),
            commands: defaults::AUDIT_COMMANDS,
            on_failure: defaults::AUDIT_ON_FAILURE,
            sync: defaults::AUDIT_SYNC,
        }
    }
}

impl RawAudit {
    pub(super) fn typed(self, home: &Path) -> AuditSettings {
        let to = match self.to.0 {
            DestinationText::Stderr => AuditDestination::Stderr,
            DestinationText::Off => AuditDestination::Off,
            DestinationText::File(path) => AuditDestination::File(path.resolve(home)),
        };
        AuditSettings { to, commands: self.commands, on_failure: self.on_failure, sync: self.sync }
    }
}

/// A destination before the home directory is known.
#[derive(Debug)]
enum DestinationText {
    Stderr,
    Off,
    File(PathText),
}

impl FromStr for DestinationText {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        match text {
            "stderr" => Ok(Self::Stderr),
            "off" => Ok(Self::Off),
            path => path.parse().map(Self::File).map_err(|_| DestinationError(text.to_owned())),
        }
    }
}

/// What is no destination. The operator's fault.
#[derive(Debug, Error)]
#[error("neither \"stderr\" nor \"off\" nor a path that begins with / or ~/: {0:?}")]
struct DestinationError(String);
