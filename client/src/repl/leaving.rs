//! The end of a session: what is asked first, and how the shell there is left.

use super::source::Source;
use super::{Next, Work};
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

    /// `:detach`: what follows, which is that it is done where it can be.
    pub(super) fn may_detach(&mut self) -> Next {
        let why_not = match self.source {
            _ if self.connection.is_private() => {
                "the server ends with this session, and all that runs there with it"
            }
            Source::Terminal => return Next::Detach,
            Source::Stdin | Source::File(_) => {
                "not on a terminal: nobody could come back to the shell of a script"
            }
        };
        self.complain(why_not);
        self.code = exit_code::FAILED;
        self.shell.set_status(self.code);
        self.after(None)
    }

    /// Leaves the shell to the server; what to exit with.
    pub(super) async fn detach(self) -> u8 {
        let Self { shell, connection, reporter, name, .. } = self;
        let come_back = connection.come_back(reporter.program(), shell.job().id());
        match shell.detach().await {
            Ok(id) => {
                reporter.say(format_args!(
                    "detached: the shell of this prompt goes on at {name} as job {id}; {come_back}"
                ));
                0
            }
            Err(error) => {
                let error = report::explain(&error);
                reporter.say(format_args!(
                    "{error}; it is not known to be kept: `{come_back}` finds it if it is"
                ));
                exit_code::FAILED
            }
        }
    }

    /// Ends the shell; what to exit with.
    pub(super) async fn leave(&mut self, code: u8) -> u8 {
        if self.warned {
            self.shell.end();
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
