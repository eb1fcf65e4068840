//! What a person gets to see while the line to the server is down: on a terminal one line, kept up to date, on one that a command has
//! a bar, elsewhere one line when it is lost and one when it is back. Nothing of a line that is back at once.

use std::fmt;
use std::pin::pin;
use std::time::{Duration, Instant};

use common::connection::ConnectionError;
use common::reason::system_reason;
use tokio::sync::watch;
use tokio::time;

use super::report::{Reporter, what_failed};
use super::screen;
use super::terminal;
use crate::error::Error;
use crate::{Client, Line};

/// A line that is back sooner was hardly lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// From one look at the clock to the next.
const TICK: Duration = Duration::from_secs(1);

/// Watches the line to a server.
#[derive(Debug)]
pub(crate) struct LineStatus<'a> {
    line: watch::Receiver<Line>,
    /// What the user calls the server.
    name: &'a str,
    reporter: &'a Reporter,
    place: Place<'a>,
    /// Since when it has been down, if that was said.
    said: Option<Instant>,
    /// Whether a bar has said so.
    in_bar: bool,
}

/// Where it is shown.
enum Place<'a> {
    /// On a line of its own, which is kept up to date.
    Line,
    /// In a bar, as far as that can be; this has painted anew what was there.
    Bar(&'a dyn Fn()),
    /// One line after the other.
    Words,
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Line => "Line",
            Self::Bar(_) => "Bar",
            Self::Words => "Words",
        })
    }
}

/// A line that is down.
#[derive(Debug, Clone)]
struct Down {
    since: Instant,
    error: Error,
    grace: Option<Duration>,
}

impl<'a> LineStatus<'a> {
    /// Of a call with a job in the foreground.
    pub(crate) fn new(client: &Client, name: &'a str, reporter: &'a Reporter) -> Self {
        let in_place = !reporter.is_quiet() && screen::is_there();
        let place = if in_place { Place::Line } else { Place::Words };
        Self { line: client.line(), name, reporter, place, said: None, in_bar: false }
    }

    /// The same, for where the terminal is somebody else's.
    pub(crate) fn in_plain_words(mut self) -> Self {
        self.place = Place::Words;
        self
    }

    /// The same, for where the terminal is a command's. `repaint` has that painted anew.
    pub(crate) fn in_bar(mut self, repaint: &'a dyn Fn()) -> Self {
        self.place = if matches!(self.place, Place::Line) { Place::Bar(repaint) } else { Place::Words };
        self
    }

    /// What becomes of `future`, with the line watched meanwhile.
    pub(crate) async fn during<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let done = tokio::select! {
            biased;
            done = &mut future => done,
            () = self.watch() => future.await,
        };
        self.look();
        screen::make_way();
        done
    }

    /// Says what is to be said, until the line is gone for good.
    async fn watch(&mut self) {
        loop {
            self.look();
            let pause = match self.down() {
                None => {
                    if self.line.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Some(down) if self.said.is_none() => PATIENCE.saturating_sub(down.since.elapsed()),
                Some(_) if self.in_bar || matches!(self.place, Place::Line) => TICK,
                Some(_) => Duration::MAX,
            };
            let changed = time::timeout(pause, self.line.changed()).await;
            match changed {
                Ok(Err(_)) => return,
                Ok(Ok(())) => {}
                Err(_) => self.say_down(),
            }
        }
    }

    fn down(&self) -> Option<Down> {
        match &*self.line.borrow() {
            Line::Down { since, error, grace } => {
                Some(Down { since: *since, error: error.clone(), grace: *grace })
            }
            Line::Greeting | Line::Up | Line::Closed(_) => None,
        }
    }

    /// Says that it is back, if it is and that is news.
    fn look(&mut self) {
        let is_up = matches!(*self.line.borrow(), Line::Up);
        if let Some(since) = self.said.take_if(|_| is_up) {
            if let (true, Place::Bar(repaint)) = (std::mem::take(&mut self.in_bar), &self.place) {
                terminal::clear_bar();
                repaint();
                return;
            }
            self.reporter.remark(format_args!(
                "the line to {} is back after {}",
                self.name,
                seconds(since.elapsed())
            ));
        }
    }

    fn say_down(&mut self) {
        let Some(down) = self.down() else { return };
        // One that was up for a moment only was not said to be back.
        let first = self.said.is_none();
        let since = *self.said.get_or_insert(down.since);
        let (reason, name) = (reason(&down.error), self.name);
        let shortly = || {
            let kept = kept_shortly(down.grace, down.since.elapsed());
            let elapsed = seconds(since.elapsed());
            let program = self.reporter.program();
            // What matters least is last: a narrow terminal cuts it off.
            format!("{program}: line to {name} down {elapsed}; {kept} ({reason})")
        };
        self.in_bar = matches!(self.place, Place::Bar(_)) && terminal::show_bar(&shortly());
        if let Place::Line = self.place {
            screen::show(&shortly());
        } else if first && !self.in_bar {
            let kept = kept(down.grace);
            self.reporter
                .remark(format_args!("the line to {name} is lost: {reason}; trying to come back, {kept}"));
        }
    }
}

/// How long what runs there is kept.
fn kept(grace: Option<Duration>) -> String {
    match grace {
        None => "the job goes on there".to_owned(),
        Some(grace) => format!("the job is kept for {}", seconds(grace)),
    }
}

/// The same in few words, some time after the line was lost.
fn kept_shortly(grace: Option<Duration>, elapsed: Duration) -> String {
    match grace.map(|grace| grace.saturating_sub(elapsed)) {
        None => "job goes on there".to_owned(),
        Some(Duration::ZERO) => "job may be given up".to_owned(),
        Some(left) => format!("job kept {} more", seconds(left)),
    }
}

/// Whole seconds, the begun one counted.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_millis().div_ceil(1000))
}

/// Why a line is down, in a few words.
pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::ServerGone => "the server has closed it".to_owned(),
        Error::Connection(error) => match &**error {
            ConnectionError::Io(error) => system_reason(error),
            ConnectionError::Truncated => "it was cut".to_owned(),
            ConnectionError::Silent | ConnectionError::GreetingTimeout { .. } => "no sign of life".to_owned(),
            ConnectionError::Stalled => "nothing gets through".to_owned(),
            _ => what_failed(&Error::Connection(error.clone())),
        },
        error => what_failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_job_is_kept() {
        let minute = Some(Duration::from_secs(60));
        assert_eq!(kept(minute), "the job is kept for 60 s");
        assert_eq!(kept(None), "the job goes on there");
        assert_eq!(kept_shortly(minute, Duration::from_millis(11_400)), "job kept 49 s more");
        assert_eq!(kept_shortly(minute, Duration::from_secs(60)), "job may be given up");
        assert_eq!(kept_shortly(None, Duration::from_secs(600)), "job goes on there");
    }

    #[test]
    fn reasons_are_short() {
        let reset = std::io::Error::from_raw_os_error(104);
        let connection = |error| Error::from(error);
        assert_eq!(reason(&connection(ConnectionError::Io(reset))), "connection reset by peer");
        assert_eq!(reason(&connection(ConnectionError::Silent)), "no sign of life");
        assert_eq!(reason(&Error::ServerGone), "the server has closed it");
    }
}
