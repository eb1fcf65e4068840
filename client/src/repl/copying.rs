//! `:put` and `:get` at work: from what was asked for to what is said about it.

use std::cell::Cell;

use common::job::Signal;

use super::commands::{Copy, Way};
use super::local_path::local;
use super::progress_bar::Bar;
use super::session::{Session, line_status};
use super::source::Source;
use super::{Next, Stop, Work};
use crate::cli::exit_code;
use crate::cli::foreground::unless_signaled;
use crate::cli::report;
use crate::{Moved, Progress, Transfer, TransferError};

/// The exit code of a transfer that failed.
const NOT_COPIED: u8 = 1;

impl Work<'_> {
    /// Copies, with a bar where there is a terminal for one.
    pub(super) async fn copy(&mut self, copy: &Copy) -> Result<Next, Stop> {
        let (bar, at) = (Bar::new(), Cell::new((0, 0)));
        let told = |progress: &Progress| {
            at.set((progress.done, progress.total));
            bar.show(progress);
        };
        let Session { connection, prompt, .. } = &self.session;
        let transfer =
            Transfer::new(&connection.client).directory(&prompt.directory).force(copy.force).progress(&told);
        let mut status = line_status(connection, self.reporter).in_plain_words();
        let ended = unless_signaled(&mut self.signals, status.during(carry_out(&transfer, copy))).await;
        bar.clear();
        let signal = ended.as_ref().err().copied();
        match ended {
            Ok(Ok(moved)) => self.copied(&moved),
            Ok(Err(error)) => {
                self.code = NOT_COPIED;
                self.complain(report::not_transferred(&error));
            }
            Err(signal) => self.stop(signal, at.get()),
        }
        self.done(self.code);
        Ok(self.after(signal))
    }

    fn copied(&mut self, moved: &Moved) {
        self.code = 0;
        if self.source == Source::Terminal {
            self.complain(report::transferred(moved));
        }
        if let Some(left_out) = report::left_out(moved) {
            self.complain(left_out);
        }
    }

    fn stop(&mut self, signal: Signal, (done, total): (u64, u64)) {
        report::end_echo(Some(signal));
        self.code = exit_code::of_signal(signal);
        self.complain(report::interrupted(done, total));
    }
}

async fn carry_out(transfer: &Transfer<'_>, copy: &Copy) -> Result<Moved, TransferError> {
    let to = copy.to.as_deref().unwrap_or(b".");
    match copy.way {
        Way::Put => transfer.put(&local(&copy.from), to).await,
        Way::Get => transfer.get(&copy.from, &local(to)).await,
    }
}
