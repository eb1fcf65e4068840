//! Processes as they really start, run and end.

use std::fs;
use std::io::Read;
use std::time::Duration;

use common::job::{Extras, Program, ResourceLimits, Spec, StartFailure, Terminal, Variable};

use super::*;

mod control;
mod measure;
mod start;
pub(super) mod terminal;
mod trees;

/// A shell's job in `/`, without input.
fn shell(text: &str) -> Spec {
    let mut spec = Spec::new(Program::Shell(text.into()));
    spec.directory = Some("/".into());
    spec
}

/// Somebody whose processes are this user's own.
fn account() -> Account {
    Account { home: "/".into(), ..Account::ann() }
}

fn start(spec: &Spec, containment: &Arc<Containment>) -> Result<Spawned, StartFailure> {
    start_on(None, spec, containment)
}

/// Starts it on this terminal, if there is one.
fn start_on(
    terminal: Option<&Terminal>,
    spec: &Spec,
    containment: &Arc<Containment>,
) -> Result<Spawned, StartFailure> {
    start_with(&Extras { terminal: terminal.cloned(), control: false }, spec, containment)
}

fn start_with(extras: &Extras, spec: &Spec, containment: &Arc<Containment>) -> Result<Spawned, StartFailure> {
    let id = format!("test-{}", fastrand::u64(..)).parse().unwrap();
    match Prepared::new(spec, extras, &account(), &id, containment)?.start() {
        Ok(spawned) => Ok(spawned),
        Err(SpawnError::NotStarted(failure)) => Err(failure),
        Err(error) => panic!("{error}"),
    }
}

/// What the command writes to stdout, once it has ended and was taken leave of.
async fn output_of(spec: &Spec, containment: &Arc<Containment>) -> String {
    let Spawned { mut process, stdout, .. } = start(spec, containment).unwrap();
    process.exited().await.unwrap();
    let mut text = String::new();
    fs::File::from(stdout).read_to_string(&mut text).unwrap();
    process.reap().unwrap();
    text
}

/// Waits until `met`, and fails if that takes longer than anything should.
async fn wait_until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !met().await {
        assert!(std::time::Instant::now() < deadline, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
