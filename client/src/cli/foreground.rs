//! A job in the foreground: it runs as if it were this program, until its end or until the user leaves.
//!
//! Passes signals on and waits for everything that has to be over. Does not print and does not decide on exit codes.

use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::job::{Outcome, Signal, WindowSize};
use tokio::sync::watch;
use tokio::time::{self, error::Elapsed};

use super::failure::Failure;
use super::keyboard::Keyboard;
use super::output::Relayed;
use super::signals::Signals;
use super::terminal::{Controls, Event};
use crate::error::Error;
use crate::{Client, Finished, Job, Line};

/// A second Ctrl-C within this time leaves at once.
const SECOND_INTERRUPT: Duration = Duration::from_secs(1);

/// How long a server may take to show a sign of life once a signal was passed on that would have ended us.
const ANSWER: Duration = Duration::from_secs(5);

/// The end of what is in the foreground.
pub(crate) trait End {
    /// Whether it has ended by itself, so that what it has switched on in the emulator is meant to stay.
    fn is_by_itself(&self) -> bool;
}

impl End for Result<Finished, Error> {
    fn is_by_itself(&self) -> bool {
        matches!(self, Ok(Finished { outcome: Outcome::Exited { .. }, .. }))
    }
}

/// How a job in the foreground ended, or the part of it that was.
#[derive(Debug)]
pub(crate) enum Ending<E = Result<Finished, Error>> {
    /// It is over, or nobody here can know any more; all output is written.
    Over {
        /// The job's end, or the connection's.
        result: E,
        /// How the output ended here.
        relayed: Relayed,
        /// The last signal that was passed on.
        signal: Option<Signal>,
    },
    /// It is not known to be over, and the user has left with a second Ctrl-C.
    Left,
    /// It is over, and a signal came while output was still to be written.
    CutShort {
        /// The job's end, or the connection's.
        result: E,
        /// What came.
        signal: Signal,
    },
    /// The server does not answer, and a signal came that would have ended a program which does not pass it on.
    Unanswered(Signal),
    /// It is not known to be over, and the user has left with the escape key.
    Escaped,
    /// The user has typed the keys that leave it to the server.
    Detached,
    /// One of our own streams failed.
    Broken(Failure),
}

/// What joins a job in the foreground to this program, beside its streams.
pub(crate) struct Hands<'a, 't> {
    /// The signals that are passed on.
    pub(crate) signals: &'a mut Signals,
    /// Where the keys are typed that leave it.
    pub(crate) keyboard: Option<&'a Arc<Keyboard>>,
    /// The terminal, if the job is on one.
    pub(crate) terminal: Option<&'a mut OnTerminal<'t>>,
    /// Is told, once, of a signal that has to wait because the line is down.
    pub(crate) kept: &'a dyn Fn(Signal),
}

/// The terminal here, for a job that is on one there.
pub(crate) struct OnTerminal<'a> {
    /// Gives it to the job, once that runs.
    pub(crate) entering: Option<Entering<'a>>,
    /// What was made of it.
    pub(crate) controls: Option<Controls>,
    /// Tells the job a size.
    pub(crate) resize: &'a dyn Fn(WindowSize),
    /// Tells the user the keys.
    pub(crate) help: &'a dyn Fn(),
}

/// Becomes the terminal that the job has; none if it never runs.
pub(crate) type Entering<'a> = Pin<Box<dyn Future<Output = io::Result<Option<Controls>>> + 'a>>;

impl OnTerminal<'_> {
    async fn next(&mut self) -> io::Result<Event> {
        if let Some(entering) = &mut self.entering {
            let entered = entering.await;
            self.entering = None;
            self.controls = entered?;
        }
        match &mut self.controls {
            Some(controls) => controls.next().await,
            None => pending().await,
        }
    }
}

/// Stays with `job` until `end`, while `output` writes what it writes and `input` sends what it reads.
pub(crate) async fn attend<E: End>(
    client: &Client,
    job: &Job,
    end: impl Future<Output = E>,
    output: impl Future<Output = Result<Relayed, Failure>>,
    input: impl Future<Output = Result<(), Failure>>,
    hands: Hands<'_, '_>,
) -> Ending<E> {
    let Hands { signals, keyboard, mut terminal, kept } = hands;
    let (mut following, mut told, mut passed_on, mut line) = (None, false, None, client.line());
    let (mut output, mut input) = (pin!(output), pin!(input));
    let mut end = pin!(end);
    let (mut doubt, mut pass_on) = (None, None);
    let (mut relayed, mut input_open, mut result, mut interrupts) = (None, true, None, Interrupts::default());
    loop {
        tokio::select! {
            written = &mut output, if relayed.is_none() => match written {
                Ok(written) => relayed = Some(written),
                Err(failure) => return Ending::Broken(failure),
            },
            read = &mut input, if input_open => match read {
                Ok(()) => input_open = false,
                Err(failure) => return Ending::Broken(failure),
            },
            ended = &mut end, if result.is_none() => result = Some(ended),
            signal = signals.next() => {
                if ends_us(signal) && let Some(result) = result.take() {
                    return Ending::CutShort { result, signal };
                }
                if interrupts.is_second(signal) {
                    return Ending::Left;
                }
                if let Some(keyboard) = keyboard.filter(|keyboard| keyboard.begins_with(signal)) {
                    if following.is_none() {
                        following = Some((signal, Box::pin(keyboard.follows())));
                    }
                    continue;
                }
                pass_on = Some(signal);
            }
            follows = followed(&mut following), if following.is_some() => {
                let first = following.take();
                if follows {
                    return Ending::Detached;
                }
                pass_on = first.map(|(signal, _)| signal);
            }
            () = pressed(keyboard) => return Ending::Detached,
            event = happened(&mut terminal) => match event {
                Ok(Event::Resized(size)) => {
                    if let Some(terminal) = &terminal {
                        (terminal.resize)(size);
                    }
                }
                Ok(Event::Help) => {
                    if let Some(terminal) = &terminal {
                        (terminal.help)();
                    }
                }
                Ok(Event::Leave) => return Ending::Escaped,
                Ok(Event::Detach) => return Ending::Detached,
                Err(error) => return Ending::Broken(Failure::System { what: "the terminal", error }),
            },
            // What was passed on just before may not have got there.
            Ok(()) = line.changed(), if !told && passed_on.is_some() => {}
            answered = answer(&mut doubt), if doubt.is_some() => {
                // A lost connection shows in the job's end, too.
                if let (false, Some((signal, _))) = (answered, doubt.take()) {
                    return Ending::Unanswered(signal);
                }
            }
        }
        if let Some(signal) = pass_on.take() {
            // A lost connection shows in the job's end, and a server that takes nothing must not take away Ctrl-C.
            job.signal(signal).ok();
            passed_on = Some(signal).filter(|signal| ends_us(*signal)).or(passed_on);
            let is_down = is_down(&line);
            // Somebody who has pressed Ctrl-C can do so again.
            let asks = ends_us(signal) && !(is_down && is_a_key(signal));
            if asks && doubt.is_none() {
                doubt = Some((signal, Box::pin(time::timeout(ANSWER, answered(client)))));
            }
        }
        if let Some(signal) = passed_on.filter(|_| !told && is_down(&line) && job.has_orders()) {
            told = true;
            kept(signal);
        }
        if let (Some(relayed), true) = (relayed, result.is_some())
            && let Some(result) = result.take()
        {
            if let Some(OnTerminal { controls: Some(controls), .. }) = &terminal {
                controls.finish(result.is_by_itself());
            }
            return Ending::Over { result, relayed, signal: interrupts.last };
        }
    }
}

fn is_down(line: &watch::Receiver<Line>) -> bool {
    matches!(*line.borrow(), Line::Down { .. })
}

/// Waits for a sign of life over a line that is there, or will be.
async fn answered(client: &Client) {
    // A connection that is lost for good shows in the job's end.
    client.ping().await.ok();
}

/// Waits until it is known whether the other keys follow the first.
async fn followed(following: &mut Option<(Signal, impl Future<Output = bool> + Unpin)>) -> bool {
    match following {
        Some((_, follows)) => follows.await,
        None => pending().await,
    }
}

/// Waits until the keys are typed.
async fn pressed(keyboard: Option<&Arc<Keyboard>>) {
    match keyboard {
        Some(keyboard) => keyboard.pressed().await,
        None => pending().await,
    }
}

/// Waits for what happens before the terminal.
async fn happened(terminal: &mut Option<&mut OnTerminal<'_>>) -> io::Result<Event> {
    match terminal {
        Some(terminal) => terminal.next().await,
        None => pending().await,
    }
}

/// Whether a signal is what a person types.
fn is_a_key(signal: Signal) -> bool {
    signal == Signal::INT || signal == Signal::QUIT
}

/// Waits for the sign of life that is asked for, if one is; whether it came in time.
async fn answer<T>(doubt: &mut Option<(Signal, impl Future<Output = Result<T, Elapsed>> + Unpin)>) -> bool {
    match doubt {
        Some((_, sign)) => sign.await.is_ok(),
        None => pending().await,
    }
}

/// Whether a signal would have ended this program if it did not pass it on.
pub(crate) fn ends_us(signal: Signal) -> bool {
    signal != Signal::USR1 && signal != Signal::USR2
}

/// What `future` comes to, unless a signal comes first that would have ended a program that does not pass it on.
pub(crate) async fn unless_signaled<T>(
    signals: &mut Signals,
    future: impl Future<Output = T>,
) -> Result<T, Signal> {
    let mut future = pin!(future);
    loop {
        tokio::select! {
            biased;
            done = &mut future => return Ok(done),
            signal = signals.next() => {
                if ends_us(signal) {
                    return Err(signal);
                }
            }
        }
    }
}

/// Tells the second Ctrl-C from the first.
#[derive(Debug, Default)]
struct Interrupts {
    last: Option<Signal>,
    last_interrupt: Option<Instant>,
}

impl Interrupts {
    fn is_second(&mut self, signal: Signal) -> bool {
        self.last = Some(signal);
        if signal != Signal::INT {
            return false;
        }
        let before = self.last_interrupt.replace(Instant::now());
        before.is_some_and(|before| before.elapsed() < SECOND_INTERRUPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_interrupt_soon_after_an_interrupt_is_the_second() {
        let mut interrupts = Interrupts::default();
        assert!(!interrupts.is_second(Signal::INT));
        assert!(!interrupts.is_second(Signal::TERM));
        assert!(interrupts.is_second(Signal::INT));
        assert_eq!(interrupts.last, Some(Signal::INT));
        interrupts.last_interrupt = Instant::now().checked_sub(SECOND_INTERRUPT);
        assert!(!interrupts.is_second(Signal::INT));
        assert!(interrupts.is_second(Signal::INT));
    }
}
