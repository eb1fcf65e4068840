//! What the server says about one job, and what that changes here. Nothing is said to it, but what has waited for its word.

use std::time::Duration;

use common::frame::StreamId;
use common::job::{Ended, Outcome, WindowSize};
use common::message::{Attached, Order, StdinProgress};
use common::packet::Ack;
use common::stream::{Inbound, StreamError};

use super::{Hold, Link, Origin, Progress, State};
use crate::job::Finished;

impl Hold {
    /// Takes the server's word that orders were carried out.
    pub(crate) fn applied(&self, sequence: u64) {
        self.answered(&mut self.lock(), sequence);
        self.link_changed.notify_waiters();
    }

    /// What has waited for that answer is said.
    fn answered(&self, state: &mut State, sequence: u64) {
        state.unsaid.answered(sequence);
        self.say_all(state);
    }

    /// Takes the server's word that an order is not carried out.
    pub(crate) fn declined(&self, sequence: u64, reason: String) {
        let mut state = self.lock();
        match state.unsaid.order_of(sequence) {
            // Nobody waits for a size to be taken, and a job without a terminal has none.
            Some(Order::Resize(_)) => {}
            Some(Order::Control(_)) => state.untold = Some(reason),
            _ => state.declined = Some(reason),
        }
        drop(state);
        self.applied(sequence);
    }

    /// Takes the server's word that the job runs on a terminal, and how large that is.
    pub(crate) fn on_terminal(&self, size: WindowSize) {
        let wanted = {
            let mut state = self.lock();
            state.terminal = Some(size);
            state.wanted_size.take()
        };
        if let Some(wanted) = wanted {
            // One whose orders are not carried out does not miss it.
            self.order(Order::Resize(wanted)).ok();
        }
    }

    /// Takes the server's word that the process runs.
    pub(crate) fn start(&self, process_id: u32, grace_ms: Option<u64>, link: Link) {
        // Said twice, the first word counts.
        self.process_id.set(process_id).ok();
        let mut state = self.lock();
        state.joined = true;
        state.grace = grace_ms.map(Duration::from_millis);
        if state.link.is_none() {
            // A start that was said again, and was the first to be heard.
            state.link = Some(link);
            self.say_all(&mut state);
        }
        drop(state);
        self.link_changed.notify_waiters();
        self.progress.send_if_modified(|progress| {
            let starting = matches!(progress, Progress::Starting);
            if starting {
                *progress = Progress::Running;
            }
            starting
        });
    }

    /// Takes the server's word that this side has hold of the job, and where its streams go on.
    ///
    /// # Errors
    /// [`StreamError`] if they cannot.
    pub(crate) fn attached(&self, attached: Attached, link: Link) -> Result<(), StreamError> {
        self.id.set(attached.id).ok();
        let received = attached.stdin.map_or(0, |stdin| stdin.received);
        let (first, under_way) = {
            let state = self.lock();
            let same = state.link.as_ref().is_some_and(|asked| asked.generation == link.generation);
            (!state.joined, same && received <= self.stdin.sent())
        };
        let goes_behind = match &self.origin {
            // Of what was typed nobody types a part again. If nothing was sent from here, it was another who has typed it.
            Origin::Start(.., typed) => *typed && self.stdin.sent() == 0,
            Origin::Attach(_) => true,
        };
        if first {
            let at = |stream| {
                attached.streams.iter().find(|begins| begins.stream == stream).map_or(0, |begins| begins.at)
            };
            // A start that was said again begins its stdin where that begins, whoever has sent the first of it.
            let stdin = if goes_behind { received } else { 0 };
            self.began.set([stdin, at(StreamId::Stdout), at(StreamId::Stderr)]).ok();
        }
        for begins in attached.streams {
            self.skip(begins.stream, begins.at)?;
        }
        match attached.stdin {
            Some(StdinProgress { received, limit, consumed }) => {
                let ack = Ack { received, limit, consumed };
                match first {
                    // What was sent behind the request is on its way there.
                    true if under_way => self.stdin.acknowledge(ack)?,
                    true if goes_behind => self.stdin.begin(ack),
                    true => self.stdin.repeat(ack)?,
                    false => self.stdin.resume(ack)?,
                }
            }
            None => self.stdin.stop(),
        }
        let mut state = self.lock();
        state.takes_stdin = attached.stdin.is_some();
        self.answered(&mut state, attached.applied);
        drop(state);
        match attached.process_id {
            Some(process_id) => self.start(process_id, attached.grace_ms, link),
            None => {
                let mut state = self.lock();
                state.joined = true;
                state.grace = attached.grace_ms.map(Duration::from_millis);
                state.link = Some(link);
                self.say_all(&mut state);
                drop(state);
                self.link_changed.notify_waiters();
            }
        }
        Ok(())
    }

    /// A stream goes on at `offset`; what lies between is not to be had.
    ///
    /// # Errors
    /// [`StreamError`] behind the stream's end.
    pub(crate) fn skip(&self, stream: StreamId, offset: u64) -> Result<(), StreamError> {
        let Some(inbound) = self.inbound(stream) else { return Ok(()) };
        let missed = offset.saturating_sub(inbound.received());
        inbound.skip(offset)?;
        if inbound.is_stopped() {
            // What this side does not want it does not miss.
            return Ok(());
        }
        // The sender knows from that how much more it may send.
        if missed > 0 {
            self.acknowledge(stream);
        }
        if let Some(count) = self.lock().missed.get_mut(stream) {
            *count += missed;
        }
        Ok(())
    }

    /// Takes the server's report, checking that nothing of the output is missing.
    pub(crate) fn end(&self, ended: Ended) {
        let (stdout_bytes, stderr_bytes) = (ended.total(StreamId::Stdout), ended.total(StreamId::Stderr));
        let started = !matches!(ended.outcome, Outcome::NotStarted(_) | Outcome::Lost(_));
        let mut missing =
            self.asked_for().filter_map(|(stream, inbound)| missing(inbound, ended.total(stream)));
        let missing = missing.next();
        let outcome = match missing {
            Some(missing) if started => {
                Outcome::Lost(format!("{missing}, after the command {}", ended.outcome))
            }
            _ => ended.outcome,
        };
        let missed = self.lock().missed;
        let finished = Finished {
            outcome,
            stdout_bytes: stdout_bytes.unwrap_or_default(),
            stderr_bytes: stderr_bytes.unwrap_or_default(),
            stdin_consumed: ended.stdin_consumed,
            output_left_open: ended.output_left_open,
            out_of_memory: ended.out_of_memory,
            wall: Duration::from_micros(ended.wall_us),
            usage: ended.usage,
            missed: missed.iter().map(|(_, count)| count).sum(),
        };
        self.finish(Ok(finished));
    }
}

/// What is missing of a stream that should have had `total` bytes; `None` if nothing is.
fn missing(inbound: &Inbound, total: Option<u64>) -> Option<String> {
    let Some(total) = total else { return Some("the length of an output stream is unknown".to_owned()) };
    let received = inbound.received();
    let whole = inbound.is_stopped() || (inbound.is_ended() && received == total);
    (!whole).then(|| format!("only {received} of {total} bytes of an output stream arrived"))
}
