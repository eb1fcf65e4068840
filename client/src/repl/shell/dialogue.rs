//! The dialogue with the session's shell: what it is told, and what its answers mean. Pure.
//!
//! Whatever is told is one unit of its program text, and has a serial number. The shell reports whenever it comes to a prompt, with
//! the serial that it read last and the last line that it has begun.
//!
//! Some shells throw away the next unit when an interrupt comes while they wait for it. That shows as a second report of one serial.
//! A line that they may have thrown away is said again, under a new serial, and begun only if it was not before; a line that they
//! would throw away has something in front of it that does nothing.

use std::fmt::Write;

/// What the text begins with that becomes the shell of a prompt. By this a list of jobs shows what it is, and it is known again.
pub(crate) const PROMPT: &str = "# the shell of a prompt\n";

/// The unit that comes first. What it evaluates was put into the environment by `start.sh`.
pub(super) const BOOT: &[u8] = b" eval \"$__telex_boot\"\n";

/// Has it say who it is.
const WHO: &str = "__telex_who";

/// How the session's shell is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On a terminal of its own, for a person.
    Terminal,
    /// The same, where nobody types, and commands read nothing.
    Unattended,
    /// With pipes, for a script.
    Script,
}

impl Mode {
    /// As one of several shells that run the same lines.
    pub(crate) fn unattended(self) -> Self {
        match self {
            Self::Terminal | Self::Unattended => Self::Unattended,
            Self::Script => Self::Script,
        }
    }
}

/// Something that the shell has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Who it is, and how its last line has ended, as far as it knows.
    Kind { kind: Kind, status: u8 },
    /// It is ready for the next line.
    Prompt { serial: u64, line: u64, prompt: Prompt },
    /// What was typed while a line ran, and not read by it.
    Typed(Vec<u8>),
    /// The jobs that it has.
    Jobs(Vec<u8>),
    /// One of the names that it knows.
    Name(Vec<u8>),
}

/// The shell of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its name.
    pub(crate) name: Vec<u8>,
    /// The name of the user's own, which may be another one.
    pub(crate) login: Vec<u8>,
    /// Who commands run as.
    pub(crate) user: Vec<u8>,
    /// The home directory there.
    pub(crate) home: Vec<u8>,
}

/// How a line has left the shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The line's `$?`.
    pub(crate) status: u8,
    /// The working directory.
    pub(crate) directory: Vec<u8>,
}

/// What follows from something that was said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The line is done, or the shell has come up.
    Ready(Prompt),
    /// This is to be told once more.
    Again(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// ```text
/// Booting --first prompt--> Idle --line()--> Busy --prompt of the line--> Idle
///                                             | ^
///                          a serial's second prompt: the line again
///
/// Resuming --prompt of a serial of ours--> Idle
///     | ^
///  another one: who it is, again
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Booting,
    /// It was the shell of another prompt before, and may be at work for that.
    Resuming {
        /// Before the first serial of ours.
        before: u64,
        /// How a line of the other prompt has ended meanwhile.
        ended: Option<u8>,
    },
    Idle,
    Busy,
}

/// One side of it.
#[derive(Debug)]
pub(super) struct Dialogue {
    mode: Mode,
    state: State,
    /// Of what was told last.
    serial: u64,
    /// Of the prompt that was heard last.
    heard: Option<u64>,
    /// How many lines were told.
    lines: u64,
    status: u8,
    /// The line that is being run.
    line: Vec<u8>,
    /// Whether the next unit may be thrown away.
    interrupted: bool,
}

impl Dialogue {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            state: State::Booting,
            serial: 0,
            heard: None,
            lines: 0,
            status: 0,
            line: Vec::new(),
            interrupted: false,
        }
    }

    /// With a shell that has come up for another prompt; `before` is greater than any serial that was used there. What it is told so
    /// that it says who it is, and is ready when it comes to that.
    pub(super) fn resume(mode: Mode, before: u64) -> (Self, Vec<u8>) {
        let mut dialogue =
            Self { state: State::Resuming { before, ended: None }, serial: before, ..Self::new(mode) };
        let who = dialogue.aside(WHO);
        (dialogue, who)
    }

    /// Whether what was for another prompt may still come.
    pub(super) fn is_resuming(&self) -> bool {
        matches!(self.state, State::Resuming { .. })
    }

    /// What to tell the shell so that it runs `line`, which has no NUL.
    pub(super) fn line(&mut self, line: &[u8]) -> Vec<u8> {
        self.state = State::Busy;
        self.lines += 1;
        line.clone_into(&mut self.line);
        let mut told = match std::mem::take(&mut self.interrupted) {
            true => self.aside(":"),
            false => Vec::new(),
        };
        told.extend(self.unit());
        told
    }

    /// What to tell it so that it carries out `text` and goes back to where it was.
    pub(super) fn aside(&mut self, text: &str) -> Vec<u8> {
        self.serial += 1;
        // Nothing here may fail on its own: the user may have said `set -e`.
        format!(" __telex_new {} 0 || {{ {text}; }}\n", self.serial).into_bytes()
    }

    /// What `$?` is before the next line.
    pub(super) fn status(&self) -> u8 {
        self.status
    }

    /// Changes that.
    pub(super) fn set_status(&mut self, status: u8) {
        self.status = status;
    }

    /// Takes its word for how the last line of another prompt has ended.
    pub(super) fn was(&mut self, status: u8) {
        if let State::Resuming { ended, .. } = self.state {
            // What has come as a report is newer.
            self.status = ended.unwrap_or(status);
        }
    }

    /// Takes what the shell has said of itself.
    pub(super) fn prompt(&mut self, serial: u64, line: u64, mut prompt: Prompt) -> Heard {
        let again = self.heard.replace(serial) == Some(serial);
        let is_done = match self.state {
            State::Booting => true,
            State::Resuming { before, .. } => serial > before,
            State::Busy => line >= self.lines,
            State::Idle => false,
        };
        if is_done {
            if self.is_resuming() {
                // That of what was asked says nothing.
                prompt.status = self.status;
            }
            self.state = State::Idle;
            self.lines = line;
            self.status = prompt.status;
            return Heard::Ready(prompt);
        }
        match self.state {
            State::Busy if again => Heard::Again(self.unit()),
            // An interrupt may have thrown away what was said before; if not, it says so twice.
            State::Resuming { before, .. } => {
                self.state = State::Resuming { before, ended: Some(prompt.status) };
                Heard::Again(self.aside(WHO))
            }
            _ => {
                self.interrupted |= again;
                Heard::Nothing
            }
        }
    }

    fn unit(&mut self) -> Vec<u8> {
        self.serial += 1;
        let line = quoted(&self.line);
        let (serial, number, status) = (self.serial, self.lines, self.status);
        let mut unit = format!(" __telex_new {serial} {number} && {{ ").into_bytes();
        let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| unit.extend_from_slice(part));
        let was = was(status);
        match self.mode {
            Mode::Terminal | Mode::Unattended => {
                if !self.line.starts_with(b" ") {
                    add(&[b"__telex_keep ", &line, b"; "]);
                }
                add(&[was.as_bytes(), b"eval ", &line, b" <&7 7<&- 9>&-; __telex_end; }\n"]);
            }
            Mode::Script => {
                // By a name that is no special builtin's, since an error in one of those ends a shell.
                add(&[
                    was.as_bytes(),
                    b"$__telex_by eval ",
                    &line,
                    b" </dev/null 9>&-; __telex_say \"$?\"; }\n",
                ]);
            }
        }
        unit
    }
}

impl Said {
    /// `None` for what no shell of ours says.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (kind, rest) = text.split_first()?;
        Some(match kind {
            b'K' => {
                let mut lines = rest.splitn(5, |byte| *byte == b'\n').map(<[u8]>::to_vec);
                let mut next = || lines.next();
                let status = str::from_utf8(&next()?).ok()?.parse().unwrap_or(u8::MAX);
                let kind = Kind { name: next()?, login: next()?, user: next()?, home: next()? };
                Self::Kind { kind, status }
            }
            b'P' => {
                let mut words = rest.splitn(4, |byte| *byte == b' ');
                let mut number = || str::from_utf8(words.next()?).ok()?.parse().ok();
                let (serial, line, status): (_, _, u64) = (number()?, number()?, number()?);
                let status = u8::try_from(status).unwrap_or(u8::MAX);
                Self::Prompt { serial, line, prompt: Prompt { status, directory: words.next()?.to_vec() } }
            }
            b'T' => Self::Typed(rest.to_vec()),
            b'J' => Self::Jobs(rest.to_vec()),
            b'N' => Self::Name(rest.to_vec()),
            _ => return None,
        })
    }
}

/// What makes `$?` this before the next command, also where a command that fails ends the shell.
pub(super) fn was(status: u8) -> String {
    match status {
        0 => "__telex_was 0 && ".to_owned(),
        status => format!("__telex_was {status} || "),
    }
}

/// The text that becomes the value of `mode` for `start.sh`.
pub(super) fn start(mode: Mode, script: &str) -> String {
    let mut text = String::new();
    let name = match mode {
        Mode::Terminal => "terminal",
        Mode::Unattended => "terminal reads=/dev/null",
        Mode::Script => "script",
    };
    let prompt = if mode == Mode::Terminal { PROMPT } else { "" };
    // Writing to a string does not fail.
    write!(text, "{prompt}mode={name}\n{script}").ok();
    text
}

/// `text` as one word of a shell's.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut word = vec![b'\''];
    for byte in text {
        match byte {
            b'\'' => word.extend_from_slice(b"'\\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(status: u8) -> Prompt {
        Prompt { status, directory: b"/tmp".to_vec() }
    }

    fn booted(mode: Mode) -> Dialogue {
        let mut dialogue = Dialogue::new(mode);
        assert_eq!(dialogue.prompt(0, 0, prompt(0)), Heard::Ready(prompt(0)));
        dialogue
    }

    #[test]
    fn a_line_is_done_at_its_own_prompt() {
        let mut dialogue = booted(Mode::Terminal);
        let told = dialogue.line(b"echo 'a'");
        let expected = " __telex_new 1 1 && { __telex_keep 'echo '\\''a'\\'''; __telex_was 0 && \
                        eval 'echo '\\''a'\\''' <&7 7<&- 9>&-; __telex_end; }\n";
        assert_eq!(String::from_utf8(told).unwrap(), expected);
        assert_eq!(dialogue.prompt(1, 1, prompt(3)), Heard::Ready(prompt(3)));
        assert_eq!(dialogue.status(), 3);
        let told = String::from_utf8(dialogue.line(b" x")).unwrap();
        assert_eq!(told, " __telex_new 2 2 && { __telex_was 3 || eval ' x' <&7 7<&- 9>&-; __telex_end; }\n");
    }

    #[test]
    fn an_interrupt_at_the_prompt_takes_no_line_with_it() {
        let mut dialogue = booted(Mode::Terminal);
        assert_eq!(dialogue.prompt(0, 0, prompt(130)), Heard::Nothing);
        let told = dialogue.line(b" x");
        assert!(
            told.starts_with(b" __telex_new 1 0 || { :; }\n __telex_new 2 1 && "),
            "{}",
            told.escape_ascii()
        );
        assert_eq!(dialogue.prompt(1, 0, prompt(1)), Heard::Nothing);
        assert_eq!(dialogue.prompt(2, 1, prompt(0)), Heard::Ready(prompt(0)));
        assert!(dialogue.line(b" y").starts_with(b" __telex_new 3 2 "));
    }

    #[test]
    fn a_line_that_was_thrown_away_is_said_again() {
        let mut dialogue = booted(Mode::Terminal);
        let first = dialogue.line(b" sleep 1");
        assert!(first.starts_with(b" __telex_new 1 1 "));
        let Heard::Again(second) = dialogue.prompt(0, 0, prompt(130)) else { panic!("not said again") };
        assert!(second.starts_with(b" __telex_new 2 1 "));
        assert_eq!(dialogue.prompt(2, 1, prompt(0)), Heard::Ready(prompt(0)));
    }

    #[test]
    fn what_was_said_twice_and_heard_twice_disturbs_nothing() {
        let mut dialogue = booted(Mode::Terminal);
        dialogue.line(b"one");
        assert!(matches!(dialogue.prompt(0, 0, prompt(130)), Heard::Again(_)));
        assert_eq!(dialogue.prompt(1, 1, prompt(7)), Heard::Ready(prompt(7)), "it had not been thrown away");
        dialogue.line(b"two");
        assert_eq!(dialogue.prompt(2, 1, prompt(1)), Heard::Nothing, "the prompt of the repetition");
        assert_eq!(dialogue.prompt(3, 2, prompt(0)), Heard::Ready(prompt(0)));
    }

    #[test]
    fn a_shell_of_another_prompt_goes_on_with_its_lines() {
        let (mut dialogue, who) = Dialogue::resume(Mode::Terminal, 1 << 32);
        assert_eq!(String::from_utf8(who).unwrap(), " __telex_new 4294967297 0 || { __telex_who; }\n");
        assert!(dialogue.is_resuming());
        // A line that ran meanwhile, or the interrupt that has thrown that away.
        let Heard::Again(who) = dialogue.prompt(17, 8, prompt(130)) else { panic!("not said again") };
        assert_eq!(String::from_utf8(who).unwrap(), " __telex_new 4294967298 0 || { __telex_who; }\n");
        dialogue.was(1);
        assert_eq!(dialogue.prompt(4294967297, 8, prompt(0)), Heard::Ready(prompt(130)));
        assert_eq!(dialogue.prompt(4294967298, 8, prompt(130)), Heard::Nothing);
        assert!(!dialogue.is_resuming());
        assert!(dialogue.line(b" x").starts_with(b" __telex_new 4294967299 9 && { __telex_was 130 || "));
        assert_eq!(dialogue.prompt(4294967299, 9, prompt(0)), Heard::Ready(prompt(0)));
    }

    #[test]
    fn a_shell_that_waits_says_how_its_last_line_has_ended() {
        let (mut dialogue, _) = Dialogue::resume(Mode::Terminal, 7);
        dialogue.was(3);
        assert_eq!(dialogue.prompt(8, 2, prompt(0)), Heard::Ready(prompt(3)));
        dialogue.was(4);
        assert_eq!(dialogue.status(), 3);
    }

    #[test]
    fn an_aside_is_no_line() {
        let mut dialogue = booted(Mode::Terminal);
        assert_eq!(dialogue.aside("true"), b" __telex_new 1 0 || { true; }\n");
        dialogue.line(b"one");
        assert_eq!(dialogue.prompt(1, 0, prompt(0)), Heard::Nothing);
        assert_eq!(dialogue.prompt(2, 1, prompt(4)), Heard::Ready(prompt(4)));
    }

    #[test]
    fn a_scripts_lines_read_nothing() {
        let mut dialogue = booted(Mode::Script);
        let told = String::from_utf8(dialogue.line(b"cat")).unwrap();
        assert_eq!(
            told,
            " __telex_new 1 1 && { __telex_was 0 && $__telex_by eval 'cat' </dev/null 9>&-; __telex_say \"$?\"; }\n"
        );
    }

    #[test]
    fn what_a_shell_says() {
        let [name, login, user, home] = ["sh", "fish", "me", "/ho\nme"].map(|word| word.as_bytes().to_vec());
        let kind = Kind { name, login, user, home };
        assert_eq!(Said::parse(b"K3\nsh\nfish\nme\n/ho\nme"), Some(Said::Kind { kind, status: 3 }));
        let prompt = Prompt { status: 130, directory: b"/a b".to_vec() };
        assert_eq!(Said::parse(b"P12 7 130 /a b"), Some(Said::Prompt { serial: 12, line: 7, prompt }));
        assert_eq!(Said::parse(b"Tls\npart"), Some(Said::Typed(b"ls\npart".to_vec())));
        for nonsense in [&b""[..], b"P1 2", b"Px 1 1 /", b"P1 1 -1 /", b"Q", b"K0\nbash\nbash\nme"] {
            assert_eq!(Said::parse(nonsense), None, "{nonsense:?}");
        }
    }
}
