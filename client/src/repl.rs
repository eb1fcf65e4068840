//! The REPL: line after line, from a person at the terminal or from a script, run by one shell on the server.
//!
//! - `source`: a person or a script; `lines`: one line after the other; `editor` and `history` for a person
//! - `session`: a shell on a server, and the way there
//! - `running`: a line at work; `leaving`: the end of it all
//! - `commands`: lines that begin with a colon
//! - `listing`: `:jobs`; `attaching`: `:fg`; `settings`: `:set`
//! - `several`: `:hosts`; `hosts`: `:host`, and what becomes of the others when a session ends
//! - `copying` and `progress_bar`: `:put` and `:get`
//! - `recording`: `:record`
//! - `local_path`: the files here that these are told of
//! - `completion`: what Tab offers
//! - `syntax`: where commands begin and end
//! - `shell`: the shell there, and so all that lasts from one line to the next

mod attaching;
mod commands;
mod completion;
mod copying;
mod editor;
mod history;
mod hosts;
mod leaving;
mod lines;
mod listing;
mod local_path;
mod progress_bar;
mod recording;
mod running;
mod session;
mod settings;
mod several;
mod shell;
mod source;
pub mod syntax;

use std::fmt::Display;
use std::future::pending;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use common::escape::escape;
use common::job::{JobId, Signal};

use self::commands::Builtin;
use self::completion::{Asking, Need, Place};
use self::lines::{Line, Lines};
use self::recording::Recorder;
use self::session::{Opening, Session};
use self::shell::{Idle, Task};
use self::source::{Opened, Source};
use crate::JobSummary;
use crate::cli::args::{Options, ReplOptions};
use crate::cli::connection::Connection;
use crate::cli::exit_code;
use crate::cli::failure::Failure;
use crate::cli::foreground::ends_us;
use crate::cli::report::{self, Reporter};
use crate::cli::signals::Signals;
use crate::cli::terminal;

/// Runs the REPL; the exit code.
pub(crate) async fn repl(options: &Options, repl: &ReplOptions, reporter: &Reporter) -> u8 {
    match try_repl(options, repl, reporter).await {
        Ok(code) => code,
        Err(failure) => {
            reporter.fail(&failure);
            exit_code::FAILED
        }
    }
}

async fn try_repl(options: &Options, repl: &ReplOptions, reporter: &Reporter) -> Result<u8, Failure> {
    let source = Source::choose(repl);
    let opened = source.open()?;
    let opening = Opening {
        server: &options.server,
        mode: source.mode(),
        shell: repl.shell.as_deref(),
        program: reporter.program(),
    };
    let connection = Connection::open(&options.server, reporter.program()).await?;
    let lines = opened.lines(&connection)?;
    let session = opening.start(connection).await?;
    // Until now a signal ends us, which is right while there is nothing to be left in order.
    let signals = Signals::install()?;
    let work = Work { errexit: repl.errexit, ..Work::new(session, opening, signals, reporter, source) };
    Ok(work.go_on(lines, None).await)
}

/// Whether there is somebody to be prompted.
pub(crate) fn is_possible() -> bool {
    Source::of_stdin() == Source::Terminal
}

/// Whether this job is the shell of a prompt.
pub(crate) fn is_shell(job: &JobSummary) -> bool {
    job.command.starts_with(shell::PROMPT)
}

/// Goes on at the prompt whose shell is the job `id`, over this connection; the exit code.
pub(crate) async fn resume(
    options: &Options,
    connection: Connection,
    id: JobId,
    reporter: &Reporter,
) -> Result<u8, Failure> {
    let source = Source::Terminal;
    let lines = Opened::Terminal.lines(&connection)?;
    let opening =
        Opening { server: &options.server, mode: source.mode(), shell: None, program: reporter.program() };
    let session = Session::resume(connection, id).await?;
    let work = Work::new(session, opening, Signals::install()?, reporter, source);
    Ok(work.go_on(lines, Some(Task::Finish)).await)
}

/// A REPL at work.
struct Work<'a> {
    /// Where lines go.
    session: Session,
    /// The others that are open, the one that was used last at the end.
    others: Vec<Session>,
    /// Where lines go instead, if there are any.
    several: Vec<Session>,
    opening: Opening<'a>,
    signals: Signals,
    reporter: &'a Reporter,
    source: Source<'a>,
    errexit: bool,
    /// Whether the user was told what leaving ends.
    warned: bool,
    /// Of the line that is read or run.
    number: u64,
    /// The last line's exit code.
    code: u8,
    /// How long the last line took.
    took: Option<Duration>,
    recorder: Recorder,
}

/// What ends the REPL from outside.
enum Stop {
    Failure(Failure),
    /// There is no shell any more that lines could go to.
    Shell(Failure),
    Signal(Signal),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failure(error.into())
    }
}

/// How lines have come to an end.
enum Left {
    /// To exit with this.
    With(u8),
    /// The shell is to go on without us.
    Detached,
}

/// What follows a line.
enum Next {
    Line,
    Leave(u8),
    Detach,
    /// The shell has ended by itself, with this.
    Over(u8),
}

impl<'a> Work<'a> {
    fn new(
        session: Session,
        opening: Opening<'a>,
        signals: Signals,
        reporter: &'a Reporter,
        source: Source<'a>,
    ) -> Self {
        let recorder = Recorder::default();
        Self {
            session: session.recorded(&recorder),
            others: Vec::new(),
            several: Vec::new(),
            opening,
            signals,
            reporter,
            source,
            errexit: false,
            warned: false,
            number: 0,
            code: 0,
            took: None,
            recorder,
        }
    }

    /// Runs lines, behind what the shell has to do first, and leaves; what to exit with.
    async fn go_on(mut self, mut lines: Lines, first: Option<Task<'_>>) -> u8 {
        let left = self.run(first, &mut lines).await;
        lines.close().await;
        let code = match left {
            Ok(Left::With(code)) => self.leave(code).await,
            Ok(Left::Detached) => {
                self.end_recording();
                return self.detach().await;
            }
            Err(Stop::Signal(signal)) => exit_code::of_signal(signal),
            Err(Stop::Failure(failure) | Stop::Shell(failure)) => {
                self.fail(failure);
                exit_code::FAILED
            }
        };
        self.end_recording();
        self.close().await;
        code
    }

    /// Says what is not as the user may expect it, and has the prompt know what does not change.
    fn introduce(&self, lines: &Lines) {
        if !self.several.is_empty() {
            return lines.change_prompt(|prompt| {
                let names: Vec<_> = self.several.iter().map(Session::name).collect();
                (prompt.host, prompt.user, prompt.home) = (names.join(","), None, None);
            });
        }
        let kind = self.session.shell.kind();
        lines.change_prompt(|prompt| {
            self.session.name().clone_into(&mut prompt.host);
            prompt.user =
                Some(String::from_utf8_lossy(&kind.user).into_owned()).filter(|user| !user.is_empty());
            prompt.home = Some(kind.home.clone());
        });
        if self.source == Source::Terminal && kind.name != kind.login {
            let [name, login] = [&kind.name, &kind.login].map(|name| String::from_utf8_lossy(name));
            self.reporter.remark(format_args!(
                "{login} cannot be the shell of a prompt like this one: it is {name} (`client shell` gives you {login})"
            ));
        }
    }

    /// Runs lines until there are no more or one says so.
    async fn run(&mut self, first: Option<Task<'_>>, lines: &mut Lines) -> Result<Left, Stop> {
        let mut next = match first {
            Some(task) => self.task(task, lines).await,
            None => Ok(Next::Line),
        };
        self.introduce(lines);
        loop {
            match next {
                Ok(Next::Line) => {}
                Ok(Next::Leave(code)) => return Ok(Left::With(code)),
                Ok(Next::Detach) => return Ok(Left::Detached),
                Ok(Next::Over(code)) if self.falls_back() => self.fall_back(code, lines).await,
                Err(Stop::Shell(failure)) if self.falls_back() => {
                    self.fail(failure);
                    self.fall_back(exit_code::FAILED, lines).await;
                }
                Ok(Next::Over(code)) => return Ok(Left::With(code)),
                Err(stop) => return Err(stop),
            }
            lines.change_prompt(|prompt| {
                self.directory().clone_into(&mut prompt.directory);
                prompt.status = self.code;
                prompt.took = self.took;
            });
            next = self.read_and_run(lines).await;
        }
    }

    /// The directory there; of several that are not the same, none.
    fn directory(&self) -> &[u8] {
        let mut several = self.several.iter().map(|session| &session.prompt.directory);
        match several.next() {
            None => &self.session.prompt.directory,
            Some(first) if several.all(|other| other == first) => first,
            Some(_) => "…".as_bytes(),
        }
    }

    async fn read_and_run(&mut self, lines: &mut Lines) -> Result<Next, Stop> {
        let line = self.next_line(lines).await?;
        self.number = lines.number();
        match line {
            Line::Text(text) => self.timed_line(&text, lines).await,
            Line::Cleared => Ok(Next::Line),
            Line::End if self.must_ask().await => Ok(Next::Line),
            Line::End => Ok(Next::Leave(self.last_code())),
            Line::Failed(error) => Err(self.source.failure(error).into()),
        }
    }

    async fn next_line(&mut self, lines: &mut Lines) -> Result<Line, Stop> {
        let is_one = self.several.is_empty();
        let Self { session: Session { connection, shell, prompt }, signals, source, recorder, .. } = self;
        let client = &connection.client;
        let (mut line, home) = (client.line(), shell.kind().home.clone());
        let place = Place { client, directory: &prompt.directory, home: &home };
        let mut asking = lines.asking(place).filter(|_| is_one);
        loop {
            let is_down = is_one && matches!(*line.borrow_and_update(), crate::Line::Down { .. });
            lines.change_prompt(|prompt| prompt.is_down = is_down);
            tokio::select! {
                line = lines.next() => {
                    lines.forget_answers();
                    return Ok(line);
                }
                happened = shell.idle(), if is_one => match happened {
                    Idle::Lines(written) => {
                        let written = String::from_utf8_lossy(&written);
                        written.lines().for_each(|line| {
                            let shown = lines.print_above(line);
                            recorder.text(&format!("{shown}\n"));
                        });
                    }
                    Idle::Names(names) => {
                        asking.as_mut().into_iter().for_each(|asking| asking.take_names(names.clone()));
                    }
                    Idle::Over(end) => return Err(Stop::Shell(session::over(client, shell, end).await)),
                    Idle::Broken(failure) => return Err(failure.into()),
                },
                signal = signals.next() => {
                    check(*source, signal)?;
                    lines.interrupted();
                }
                Need::Names = completed(asking.as_mut()) => shell.ask_names(),
                // It is never dropped while there is a client.
                Ok(()) = line.changed() => {}
            }
        }
    }

    async fn timed_line(&mut self, text: &[u8], lines: &mut Lines) -> Result<Next, Stop> {
        let begun = Instant::now();
        terminal::size().into_iter().for_each(|size| self.recorder.resize(size));
        self.recorder.text(&lines.shown(text));
        let next = self.line(text, lines).await?;
        self.check_recording();
        self.took = Some(begun.elapsed());
        if self.code == exit_code::INTERRUPTED {
            lines.hold_back();
        }
        Ok(next)
    }

    async fn line(&mut self, text: &[u8], lines: &mut Lines) -> Result<Next, Stop> {
        let text = text.trim_ascii_end();
        let is_comment = text.trim_ascii_start().first().is_none_or(|first| *first == b'#');
        self.warned = false;
        match commands::parse(text) {
            _ if is_comment => return Ok(Next::Line),
            Some(Ok(builtin)) if !self.several.is_empty() && builtin.is_for_one() => {
                self.complain("this is for one server; :hosts goes back to one");
                self.done(exit_code::FAILED);
            }
            None => return self.remote(text, lines).await,
            Some(Ok(Builtin::Remote(line))) => return self.remote(line.as_bytes(), lines).await,
            Some(Ok(Builtin::Quit)) => return Ok(Next::Leave(self.last_code())),
            Some(Ok(Builtin::Copy(copy))) => return self.copy(&copy).await,
            Some(Ok(Builtin::Record(record))) => return Ok(self.record(&record)),
            Some(Ok(Builtin::Set(set))) => self.set(set, lines)?,
            Some(Ok(Builtin::Jobs)) => return self.list_jobs().await,
            Some(Ok(Builtin::Fg(wanted))) => return self.attach(wanted.as_ref()).await,
            Some(Ok(Builtin::Hosts(names))) => return self.turn_to_several(&names, lines).await,
            Some(Ok(Builtin::Host(wanted))) => return self.host(wanted.as_deref(), lines).await,
            Some(Ok(Builtin::Detach)) => return Ok(self.may_detach()),
            Some(Ok(Builtin::Help(text))) => {
                self.show(&format!("{text}\n"))?;
                self.done(0);
            }
            Some(Err(error)) => {
                self.complain(error);
                self.done(exit_code::FAILED);
            }
        }
        Ok(self.after(None))
    }

    /// A line that no shell has run has come to `code`, which is `$?` from now on.
    fn done(&mut self, code: u8) {
        self.code = code;
        self.session.shell.set_status(code);
    }

    /// What follows a line that is done, during which `signal` may have come.
    fn after(&self, signal: Option<Signal>) -> Next {
        match signal.filter(|signal| ends_us(*signal) && check(self.source, *signal).is_err()) {
            Some(signal) => Next::Leave(exit_code::of_signal(signal)),
            None if self.errexit && self.code != 0 => Next::Leave(self.code),
            None => Next::Line,
        }
    }

    /// What to exit with when lines end: a script's last exit code. A person has seen what there was to see.
    fn last_code(&self) -> u8 {
        if self.source == Source::Terminal { 0 } else { self.code }
    }

    /// Says why it is over.
    fn fail(&self, failure: Failure) {
        match self.source {
            Source::Terminal => self.reporter.fail(&failure),
            Source::Stdin | Source::File(_) => self.complain(failure),
        }
    }

    /// Writes what was asked for.
    fn show(&self, text: &str) -> Result<(), Failure> {
        self.recorder.text(text);
        write!(io::stdout(), "{text}").map_err(Failure::Stdout)
    }

    /// Says something about the present line.
    fn complain(&self, message: impl Display) {
        match self.source {
            Source::Terminal => {
                let message = message.to_string();
                self.recorder.text(&format!("{}\n", escape(&message)));
                report::print(&message);
            }
            Source::Stdin => self.reporter.say(format_args!("line {}: {message}", self.number)),
            Source::File(path) => {
                self.reporter.say(format_args!("{}:{}: {message}", path.display(), self.number));
            }
        }
    }
}

/// Whether to go on after a signal that was not for a command. The editor sees Ctrl-C as a key; an interrupt that comes as a signal is
/// somebody else's, and an interactive shell ignores it.
fn check(source: Source<'_>, signal: Signal) -> Result<(), Stop> {
    match (source, signal) {
        (Source::Terminal, Signal::INT | Signal::USR1 | Signal::USR2) => Ok(()),
        _ => Err(Stop::Signal(signal)),
    }
}

/// Answers what the editor asks.
async fn completed(asking: Option<&mut Asking<'_>>) -> Need {
    match asking {
        Some(asking) => asking.next().await,
        None => pending().await,
    }
}
