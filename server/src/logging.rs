//! Structured logs on stderr. Never holds a command's text, its variables' values or its output; and whatever strangers
//! say, an event is one line, which no terminal obeys.

use std::io::{self, Write};

use clap::ValueEnum;
use common::escape::{escape, is_unsafe};
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
    let stderr = move || SafeStderr(format);
    let lines = fmt::Subscriber::builder().with_max_level(level).with_writer(stderr).with_target(false);
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

/// Stderr for events, of which the library writes each in one call, with its end.
struct SafeStderr(LogFormat);

impl Write for SafeStderr {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(safe(&String::from_utf8_lossy(event), self.0).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `event` with everything spelt out, but for its end, that could make it look like two, or move a cursor.
fn safe(event: &str, format: LogFormat) -> String {
    let (line, end) = event.strip_suffix('\n').map_or((event, ""), |line| (line, "\n"));
    let safe = match format {
        LogFormat::Text => escape(line).into_owned(),
        // Such characters stand in JSON's strings alone, and what is one there has four digits.
        LogFormat::Json => line
            .chars()
            .map(|c| if is_unsafe(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() })
            .collect(),
    };
    safe + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_line_in_either_form() {
        let said = "x\n{\"event\":\"y\"}\u{1b}[2J\u{7f}\u{9b}\u{202e}";
        let text = safe(&format!("WARN refused reason={said}\n"), LogFormat::Text);
        assert_eq!(text, "WARN refused reason=x\\x0a{\"event\":\"y\"}\\x1b[2J\\x7f\\u{9b}\\u{202e}\n");
        let json = safe(&format!("{}\n", serde_json::json!({ "reason": said })), LogFormat::Json);
        assert!(!json.trim_end_matches('\n').contains(is_unsafe), "{json:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["reason"], said);
    }
}
