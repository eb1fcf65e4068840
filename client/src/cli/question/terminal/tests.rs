//! Tests of what happens to a terminal and to signals, and a terminal for them.

use std::io::Read;

use nix::sys::signal::raise;
use rustix::event::Timespec;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::*;

/// How long something may take to appear on a terminal.
const DEADLINE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// A terminal, and the hands and eyes of the person before it.
pub(crate) struct Pty {
    person: File,
    /// Held, so that the terminal lasts.
    end: File,
    seen: Vec<u8>,
}

impl Pty {
    pub(crate) fn open() -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let end = rustix::fs::open(&*name, flags, Mode::empty()).unwrap().into();
        Self { person: person.into(), end, seen: Vec::new() }
    }

    /// The program's end.
    pub(crate) fn end(&self) -> File {
        self.end.try_clone().unwrap()
    }

    pub(crate) fn terminal(&self) -> Terminal {
        Terminal(self.end())
    }

    pub(crate) fn write(&mut self, keys: &str) {
        self.person.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is shown, behind what was waited for before.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let start = self.seen.len();
        while !String::from_utf8_lossy(&self.seen[start..]).contains(text) {
            self.see();
        }
    }

    /// Everything that has been shown.
    pub(crate) fn shown(&mut self) -> String {
        // What a program writes reaches the other end a little later, but in order.
        self.end.write_all(b"\0").unwrap();
        self.wait_for("\0");
        self.seen.pop();
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads what is shown next.
    fn see(&mut self) {
        let mut polled = [PollFd::new(&self.person, PollFlags::IN)];
        let ready = retry_on_intr(|| poll(&mut polled, Some(&DEADLINE))).unwrap();
        assert_ne!(ready, 0, "nothing comes after {:?}", String::from_utf8_lossy(&self.seen));
        let mut buffer = [0; 1024];
        let length = self.person.read(&mut buffer).unwrap();
        self.seen.extend_from_slice(&buffer[..length]);
    }

    /// Every mode and character, to be compared.
    pub(crate) fn modes(&self) -> String {
        format!("{:?}", tcgetattr(&self.end).unwrap())
    }
}

#[test]
fn what_was_typed_before_a_question_does_not_answer_it() {
    let mut pty = Pty::open();
    pty.write("yes\r");
    // The echo shows that the line is there to be read.
    pty.wait_for("yes\r\n");
    let terminal = pty.terminal();
    let lines = terminal.lines(Echo::On).unwrap();
    pty.write("no\r");
    assert_eq!(lines.ask("Trust it? ", &mut [0; LINE]).unwrap(), Some(&b"no"[..]));
}

#[test]
fn a_terminal_that_was_left_raw_is_asked_all_the_same_and_left_raw() {
    let mut pty = Pty::open();
    let mut raw = tcgetattr(&pty.end).unwrap();
    raw.make_raw();
    tcsetattr(&pty.end, OptionalActions::Now, &raw).unwrap();
    let modes = pty.modes();
    let terminal = pty.terminal();
    let lines = terminal.lines(Echo::Off).unwrap();
    pty.write("secrex\x7ft\r");
    assert_eq!(lines.ask("", &mut [0; LINE]).unwrap(), Some(&b"secret"[..]));
    drop(lines);
    assert_eq!(pty.modes(), modes);
}

#[test]
fn a_signal_breaks_a_question_off_and_comes_when_the_terminal_is_as_it_was() {
    let pty = Pty::open();
    let modes = pty.modes();
    let terminal = pty.terminal();
    let lines = terminal.lines(Echo::Off).unwrap();
    assert_ne!(pty.modes(), modes);
    raise(Signal::SIGTERM).unwrap();
    assert_eq!(lines.ask("Passphrase: ", &mut [0; LINE]).unwrap(), None);
    // Still to come; taken here, or it would end the tests.
    assert!(lines.signals.arrival.read_signal().unwrap().is_some_and(|signal| signal.ssi_signo == 15));
    drop(lines);
    assert_eq!(pty.modes(), modes);
    assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
}

#[test]
fn a_signal_that_was_held_back_before_breaks_nothing_off_and_stays_so() {
    let mut pty = Pty::open();
    let terminal = pty.terminal();
    SigSet::from(Signal::SIGTERM).thread_block().unwrap();
    raise(Signal::SIGTERM).unwrap();
    let lines = terminal.lines(Echo::On).unwrap();
    pty.write("yes\r");
    assert_eq!(lines.ask("Trust it? ", &mut [0; LINE]).unwrap(), Some(&b"yes"[..]));
    drop(lines);
    assert!(SigSet::thread_get_mask().unwrap().contains(Signal::SIGTERM));
}
