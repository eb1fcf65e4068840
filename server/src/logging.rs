//! Structured logs on stderr. Never holds a command's text, its variables' values or its output; and whatever strangers
//! say, an event is one line, which no terminal obeys. Nothing waits for it: lines that nobody takes are lost, and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use common::escape::{escape, is_unsafe};
use common::json::notation;
use serde::Deserialize;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

use crate::background::{Background, Work};
use crate::stderr;

/// Lines that may wait to be written: about a megabyte.
const WAITING: usize = 4096;

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

/// Writes the log of this process. What is still to be written when it is dropped is waited for, for 400 ms at most.
#[derive(Debug)]
#[must_use = "without it the last lines are lost"]
pub(crate) struct Log(Arc<Lines>);

impl Log {
    /// Waits until everything is written, for 400 ms at most.
    pub(crate) fn settle(&self) {
        self.0.thread.settle();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.thread.finish();
    }
}

/// Sends the logs of this process to stderr. Without effect if they go somewhere already.
pub(crate) fn start(format: LogFormat, level: LogLevel) -> Log {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = Arc::new(Lines::new(format));
    let log = Log(Arc::clone(&lines));
    let writer = move || Line(Arc::clone(&lines));
    let events = fmt::Subscriber::builder().with_max_level(level).with_writer(writer).with_target(false);
    // A log that cannot be written (a full disk, a reader that is gone) must not take the server with it: the
    // library would complain about it on the same stderr, and panic when that fails.
    let events = events.log_internal_errors(false);
    let started = match format {
        LogFormat::Text => tracing::subscriber::set_global_default(events.with_ansi(false).finish()),
        LogFormat::Json => tracing::subscriber::set_global_default(events.json().finish()),
    };
    // Only a second start in one process fails, and then the first one is good.
    started.ok();
    log
}

/// The lines on their way to stderr.
#[derive(Debug)]
struct Lines {
    thread: Background<Vec<u8>, Stderr>,
    lost: Arc<AtomicU64>,
}

impl Lines {
    fn new(format: LogFormat) -> Self {
        let lost = Arc::<AtomicU64>::default();
        let stderr = Stderr { format, lost: Arc::clone(&lost) };
        Self { thread: Background::new("log", WAITING, stderr), lost }
    }
}

/// Writes events, and how many of them are missing before one.
struct Stderr {
    format: LogFormat,
    lost: Arc<AtomicU64>,
}

impl Stderr {
    fn line(&self, event: &[u8], lost: u64) -> String {
        let line = safe(&String::from_utf8_lossy(event), self.format);
        if lost == 0 { line } else { loss(lost, self.format) + &line }
    }
}

impl Work<Vec<u8>> for Stderr {
    fn try_now(&mut self, event: Vec<u8>) -> Result<(), Vec<u8>> {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let line = self.line(&event, lost);
        match stderr::write_now(line.as_bytes()) {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => {
                self.lost.fetch_add(lost, Ordering::Relaxed);
                Err(event)
            }
        }
    }

    fn run(&mut self, event: Vec<u8>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let line = self.line(&event, lost);
        if stderr::write(line.as_bytes()).is_ok_and(|written| written == line.len()) {
            return;
        }
        self.lost.fetch_add(lost + 1, Ordering::Relaxed);
    }
}

/// One event, of which the library writes each in one call, with its end.
struct Line(Arc<Lines>);

impl Write for Line {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let Lines { thread, lost } = &*self.0;
        if thread.offer(event.to_vec()).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// That lines are missing here.
fn loss(lines: u64, format: LogFormat) -> String {
    let message = "lines of the log are lost, because nobody took them";
    match format {
        LogFormat::Text => format!("{message}: {lines}\n"),
        LogFormat::Json => {
            format!("{}\n", json!({ "level": "WARN", "fields": { "message": message, "lines": lines } }))
        }
    }
}

/// `event` with everything spelt out, but for its end, that could make it look like two, or move a cursor.
fn safe(event: &str, format: LogFormat) -> String {
    let (line, end) = event.strip_suffix('\n').map_or((event, ""), |line| (line, "\n"));
    let safe = match format {
        LogFormat::Text => escape(line).into_owned(),
        // Such characters stand in JSON's strings alone.
        LogFormat::Json => {
            line.chars().map(|c| if is_unsafe(c) { notation(c) } else { c.to_string() }).collect()
        }
    };
    safe + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_line_in_either_form() {
        let said = "x\n{\"event\":\"y\"}\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{e0041}";
        let text = safe(&format!("WARN refused reason={said}\n"), LogFormat::Text);
        assert_eq!(
            text,
            "WARN refused reason=x\\x0a{\"event\":\"y\"}\\x1b[2J\\x7f\\u{9b}\\u{202e}\\u{e0041}\n"
        );
        let json = safe(&format!("{}\n", serde_json::json!({ "reason": said })), LogFormat::Json);
        assert!(!json.trim_end_matches('\n').contains(is_unsafe), "{json:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["reason"], said);
    }
}
