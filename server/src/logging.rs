//! Structured logs on stderr. Never holds a command's text, its variables' values or its output.

use std::io;

use clap::ValueEnum;
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    /// What the operator must look at.
    Error,
    /// What is odd.
    Warn,
    /// Connections and jobs.
    #[default]
    Info,
    /// For those who build Telex.
    Debug,
    /// Everything.
    Trace,
}

/// Sends the logs of this process to stderr. Without effect if they go somewhere already.
pub(crate) fn start(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = fmt::Subscriber::builder().with_max_level(level).with_writer(io::stderr).with_target(false);
    // A log that cannot be written (a full disk, a reader that is gone) must not take the server with it: the
    // library would complain about it on the same stderr, and panic when that fails.
    let lines = lines.log_internal_errors(false);
    let started = match format {
        LogFormat::Text => tracing::subscriber::set_global_default(lines.with_ansi(false).finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(lines.json().finish()),
    };
    // Only a second start in one process fails, and then the first one is good.
    started.ok();
}
