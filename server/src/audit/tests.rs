//! Records that hostile texts cannot break and the page for operators has, and a trail that mends itself.

mod hostile;
mod page;
mod samples;
mod storage;

use std::path::Path;

use serde_json::Value as Json;

use super::*;

fn settings(to: AuditDestination) -> AuditSettings {
    AuditSettings { to, commands: true, on_failure: OnFailure::Refuse, sync: false }
}

fn in_file(path: &Path) -> AuditSettings {
    settings(AuditDestination::File(path.to_owned()))
}

/// The lines of a file, each of which must be an object.
fn records(path: &Path) -> Vec<Json> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Records an event, and waits until that is done.
fn admit(audit: &Audit, event: &Event<'_>) -> Result<(), Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(audit.admit(event))
}

fn is_failing(audit: &Audit) -> bool {
    audit.writer.as_ref().is_some_and(|writer| writer.health.is_failing())
}

const STARTED: Event<'static> = Event::Server(ServerChange::Started);
