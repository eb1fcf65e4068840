//! The end of a session: what is asked first, and how the shell there is left.

use super::Work;
use super::source::Source;
use crate::cli::{exit_code, report};

impl Work<'_> {
    /// Whether a person who leaves has to be told first what that ends.
    pub(super) async fn must_ask(&mut self) -> bool {
        if self.source != Source::Terminal || self.warned {
            return false;
        }
        let jobs = self.shell.jobs().await;
        let jobs = String::from_utf8_lossy(&jobs);
        if jobs.trim().is_empty() {
            return false;
        }
        jobs.lines().for_each(report::print);
        self.complain("these jobs end with the session; Ctrl-D once more leaves");
        self.warned = true;
        true
    }

    /// Ends the shell; what to exit with.
    pub(super) async fn leave(&mut self, code: u8) -> u8 {
        if self.warned {
            // Dropping it ends all that runs there.
            return code;
        }
        let left = self.shell.leave();
        tokio::select! {
            left = left => match left {
                Ok(_) => code,
                Err(failure) => {
                    self.complain(failure);
                    exit_code::FAILED
                }
            },
            signal = self.signals.next() => exit_code::of_signal(signal),
        }
    }
}
