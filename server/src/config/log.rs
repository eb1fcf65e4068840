//! What the log looks like, and how much is in it.

use serde::Deserialize;

use crate::logging::{LogFormat, LogLevel};

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSettings {
    /// How log lines look.
    pub(crate) format: LogFormat,
    /// How much is logged.
    pub(crate) level: LogLevel,
}
