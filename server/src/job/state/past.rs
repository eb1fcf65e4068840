//! What is said of a job in a list, and what is remembered of one that is over. Nothing of it can be changed.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use common::frame::StreamId;
use common::job::{ByteString, Digest, Ended, JobId, Keeping, OnDisconnect, Program};
use common::message::{COMMAND_BYTES, JobState, JobSummary, Kept};
use common::stream::{Budget, Inbound};
use tokio::sync::{Notify, watch};

use super::{Job, Progress, Seat, unix_ms};
use crate::authorize::Owner;
use crate::job::control::Control;
use crate::job::orders::Orders;
use crate::job::outlet::{Buffer, Outlet};
use crate::job::presence::Presence;

/// What is remembered of a job that is over, and has nothing more for anybody.
#[derive(Debug)]
pub(in crate::job) struct Past {
    pub(super) digest: Digest,
    pub(super) command: String,
    pub(super) requested: SystemTime,
    pub(super) process_id: Option<u32>,
    pub(super) ended: Arc<Ended>,
    pub(super) at: SystemTime,
    /// When it was asked for, or a little later.
    pub(in crate::job) since: Instant,
    /// Whether its owner wants to hear nothing more of it.
    pub(in crate::job) forgotten: bool,
}

impl Job {
    /// What is to be remembered of it, if it is over.
    pub(in crate::job) fn past(&self) -> Option<Past> {
        let Progress::Over { process_id, ended, at } = self.progress.borrow().clone() else { return None };
        let (digest, command, requested, since) =
            (self.digest, self.command.clone(), self.requested, self.since);
        Some(Past { digest, command, requested, process_id, ended, at, since, forgotten: false })
    }

    /// A job that is over, without its output.
    pub(in crate::job) fn remembered(owner: Owner, id: &JobId, past: &Past) -> Self {
        let nothing = Budget::new(0);
        let total = |stream| past.ended.total(stream).unwrap_or_default();
        let over =
            Progress::Over { process_id: past.process_id, ended: Arc::clone(&past.ended), at: past.at };
        let presence = Presence::new(&Keeping { on_disconnect: OnDisconnect::Keep, ..Keeping::default() });
        Self {
            id: id.clone(),
            owner,
            digest: past.digest,
            command: past.command.clone(),
            requested: past.requested,
            since: past.since,
            takes_stdin: false,
            terminal_size: Mutex::default(),
            stdin: Inbound::new(nothing.clone()),
            stdout: Outlet::Buffer(Buffer::ended_at(total(StreamId::Stdout), nothing.clone())),
            stderr: Outlet::Buffer(Buffer::ended_at(total(StreamId::Stderr), nothing.clone())),
            control: past
                .ended
                .total(StreamId::Control)
                .map(|total| Control::new(Outlet::Buffer(Buffer::ended_at(total, nothing)))),
            orders: Orders::default(),
            progress: watch::Sender::new(over),
            seat: Mutex::new(Seat::new(presence, true)),
            seat_changed: Notify::new(),
        }
    }

    /// What a list says of it.
    pub(crate) fn summary(&self) -> JobSummary {
        let state = match &*self.progress.borrow() {
            Progress::Starting => JobState::Starting,
            Progress::Running { process_id } => JobState::Running { process_id: *process_id },
            Progress::Over { ended, at, .. } => {
                JobState::Over { outcome: ended.outcome.clone(), ended_unix_ms: unix_ms(*at) }
            }
        };
        let kept = [StreamId::Stdout, StreamId::Stderr].map(|stream| {
            let (oldest, end) = self.outlet(stream).map_or((0, 0), Outlet::kept);
            Kept { stream, oldest, end }
        });
        let waits = self.stdout.waits_for_disk() || self.stderr.waits_for_disk();
        let seat = self.lock();
        let writer = seat.writer.as_ref().map(|writer| writer.peer().to_string());
        JobSummary {
            id: self.id.clone(),
            state,
            command: self.command.clone(),
            started_unix_ms: unix_ms(self.requested),
            writer: if waits { Some(with_wait(writer)) } else { writer },
            readers: seat.readers,
            supervised: false,
            owner: None,
            kept: kept.to_vec(),
        }
    }
}

/// Behind who is attached to a job whose command waits for the disk: a list has no other place for it.
const WAITS: &str = "waits for the disk, which takes no more";

fn with_wait(writer: Option<String>) -> String {
    writer.map_or_else(|| WAITS.to_owned(), |writer| format!("{writer}, {WAITS}"))
}

/// Whether this was said of a job.
pub(crate) fn waits_for_disk(summary: &JobSummary) -> bool {
    summary.writer.as_ref().is_some_and(|writer| writer.ends_with(WAITS))
}

/// A command as a list shows it.
pub(super) fn shown(program: &Program) -> String {
    let text = match program {
        Program::Shell(text) => text.to_text(),
        Program::LoginShell => "login shell".to_owned(),
        Program::Argv(words) => {
            let words = words.iter().scan(0, |len, word| {
                *len += word.0.len() + 1;
                // What is cut off need not be put together.
                (*len <= 2 * COMMAND_BYTES || *len == word.0.len() + 1).then(|| ByteString::to_text(word))
            });
            words.collect::<Vec<_>>().join(" ")
        }
    };
    text.get(..text.floor_char_boundary(COMMAND_BYTES)).unwrap_or_default().to_owned()
}
