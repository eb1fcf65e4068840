//! The end of it all: what is asked first, and how the shells there are left.

use std::iter::once;

use super::session::Session;
use super::source::Source;
use super::{Next, Work};
use crate::cli::{exit_code, report};

impl Work<'_> {
    /// Whether a person who leaves has to be told first what that ends.
    pub(super) async fn must_ask(&mut self) -> bool {
        if self.source != Source::Terminal || self.warned {
            return false;
        }
        let are_several = !self.others.is_empty() || !self.several.is_empty();
        let mut found = false;
        for session in once(&mut self.session).chain(&mut self.others).chain(&mut self.several) {
            let jobs = session.shell.jobs().await;
            let jobs = String::from_utf8_lossy(&jobs);
            let host = if are_several { format!("{}: ", session.name()) } else { String::new() };
            let jobs = jobs.lines().filter(|job| !job.trim().is_empty());
            jobs.for_each(|job| {
                found = true;
                report::print(&format!("{host}{job}"));
            });
        }
        if found {
            self.complain("these jobs end with the session; Ctrl-D once more leaves");
        }
        self.warned = found;
        found
    }

    /// `:detach`: what follows, which is that it is done where it can be.
    pub(super) fn may_detach(&mut self) -> Next {
        let mut sessions = once(&self.session).chain(&self.others);
        let why_not = match self.source {
            _ if sessions.any(|session| session.connection.is_private()) => {
                "the server ends with this session, and all that runs there with it"
            }
            Source::Terminal => return Next::Detach,
            Source::Stdin | Source::File(_) => {
                "not on a terminal: nobody could come back to the shell of a script"
            }
        };
        self.complain(why_not);
        self.done(exit_code::FAILED);
        self.after(None)
    }

    /// Leaves the shells to their servers; what to exit with.
    pub(super) async fn detach(self) -> u8 {
        let Self { session, others, reporter, .. } = self;
        let mut code = 0;
        for Session { connection, shell, .. } in once(session).chain(others) {
            let come_back = connection.come_back(reporter.program(), shell.job().id());
            match shell.detach().await {
                Ok(id) => reporter.say(format_args!(
                    "detached: the shell of this prompt goes on at {} as job {id}; {come_back}",
                    connection.name
                )),
                Err(error) => {
                    let error = report::explain(&error);
                    reporter.say(format_args!(
                        "{error}; it is not known to be kept: `{come_back}` finds it if it is"
                    ));
                    code = exit_code::FAILED;
                }
            }
            connection.close().await;
        }
        code
    }

    /// Ends the shells; what to exit with.
    pub(super) async fn leave(&mut self, code: u8) -> u8 {
        let Self { session, others, several, signals, warned, .. } = self;
        let mut failed = None;
        for session in once(session).chain(others.iter_mut().rev()).chain(several) {
            if *warned {
                session.shell.end();
                continue;
            }
            tokio::select! {
                left = session.shell.leave() => failed = failed.or_else(|| left.err()),
                signal = signals.next() => return exit_code::of_signal(signal),
            }
        }
        match failed {
            Some(failure) => {
                self.complain(failure);
                exit_code::FAILED
            }
            None => code,
        }
    }

    /// Says what is still to be said to the servers, such as that a shell is to end.
    pub(super) async fn close(self) {
        for Session { connection, shell, .. } in once(self.session).chain(self.others).chain(self.several) {
            drop(shell);
            connection.close().await;
        }
    }
}
