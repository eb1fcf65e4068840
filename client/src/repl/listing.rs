//! `:jobs` at work: asks the server, and shows what it says.

use super::session::line_status;
use super::{Next, Stop, Work};
use crate::cli::exit_code;
use crate::cli::foreground::unless_signaled;
use crate::cli::{jobs, report};

impl Work<'_> {
    /// Lists the jobs of this user; a signal ends the wait for a line that is down.
    pub(super) async fn list_jobs(&mut self) -> Result<Next, Stop> {
        let connection = &self.session.connection;
        let mut status = line_status(connection, self.reporter).in_plain_words();
        let ended = unless_signaled(&mut self.signals, status.during(connection.client.jobs(false))).await;
        let signal = ended.as_ref().err().copied();
        match ended {
            Ok(Ok(listed)) => {
                self.show(&jobs::list(listed))?;
                self.code = 0;
            }
            Ok(Err(error)) => {
                self.complain(report::explain(&error));
                self.code = exit_code::FAILED;
            }
            Err(signal) => {
                report::end_echo(Some(signal));
                self.code = exit_code::of_signal(signal);
            }
        }
        self.done(self.code);
        Ok(self.after(signal))
    }
}
