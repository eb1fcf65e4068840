//! Tests of the questions: what counts as an answer, and a person who types at a terminal.

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, thread};

use super::terminal::tests::Pty;
use super::*;

/// How long an answer may take to be one.
const DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn only_yes_is_yes() {
    for line in ["yes", " yes\t", "yes\r"] {
        assert_eq!(answer(Some(line.as_bytes())), Some(Answer::Yes), "{line:?}");
    }
    for line in ["", " ", "no", " no "] {
        assert_eq!(answer(Some(line.as_bytes())), Some(Answer::No), "{line:?}");
    }
    for line in ["y", "YES", "yess", "yes no", "\x1byes", "ja", "y es"] {
        assert_eq!(answer(Some(line.as_bytes())), None, "{line:?}");
    }
    assert_eq!(answer(None), Some(Answer::No));
}

#[test]
fn a_passphrase_is_taken_as_typed_and_never_cut() {
    let taken = |line| secret(Some(line)).unwrap().unwrap().to_vec();
    assert_eq!(taken(b""), b"");
    assert_eq!(taken(b" a\xff b "), b" a\xff b ");
    assert_eq!(taken(&[b'a'; LONGEST]), [b'a'; LONGEST]);
    assert_eq!(secret(None).unwrap(), None);
    let error = secret(Some(&[b'a'; LONGEST + 1])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(!error.to_string().contains("aa"), "{error}");
}

/// What is asked, of somebody who types `typed` at each prompt; and what the terminal shows until the end.
fn asked<T: Send>(ask: impl FnOnce(&Terminal) -> T + Send, typed: &[(&str, &str)]) -> (T, String) {
    let mut pty = Pty::open();
    let terminal = pty.terminal();
    let modes = pty.modes();
    let (sender, receiver) = mpsc::channel();
    let answered = thread::scope(|scope| {
        scope.spawn(move || sender.send(ask(&terminal)));
        for (prompt, line) in typed {
            pty.wait_for(prompt);
            pty.write(line);
        }
        receiver.recv_timeout(DEADLINE).unwrap_or_else(|_| {
            pty.write("\r\r\r\r");
            panic!("no end after {typed:?}");
        })
    });
    assert_eq!(pty.modes(), modes, "the terminal is not as it was");
    (answered, pty.shown())
}

#[test]
fn a_passphrase_is_edited_and_not_shown() {
    for (typed, expected) in [
        ("secret\r", Some(&b"secret"[..])),
        ("secrex\x7ft\r", Some(b"secret")),
        ("wrong\x15secret\r", Some(b"secret")),
        ("\r", Some(b"")),
        ("\x03", None),
        ("secret\x03", None),
        ("secret\x1c", None),
        ("\x04", None),
        ("secret\x04", None),
    ] {
        let ask = |terminal: &_| ask_secret_on(terminal, "Passphrase: ").unwrap();
        let (answered, shown) = asked(ask, &[("Passphrase: ", typed)]);
        assert_eq!(answered.as_ref().map(|secret| &secret[..]), expected, "{typed:?}");
        assert_eq!(shown, "Passphrase: \r\n", "{typed:?}");
    }
}

#[test]
fn a_passphrase_may_be_as_long_as_it_may_be() {
    let ask = |terminal: &_| ask_secret_on(terminal, "? ");
    let typed = "ä".repeat(LONGEST / 2);
    let (answered, _) = asked(ask, &[("? ", &format!("{typed}\r"))]);
    assert_eq!(answered.unwrap().unwrap()[..], *typed.as_bytes());
    let (answered, _) = asked(ask, &[("? ", &format!("{typed}x\r"))]);
    assert_eq!(answered.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_yes_is_asked_for_until_it_is_one_or_the_person_has_had_enough() {
    let ask = |terminal: &_| ask_yes_on(terminal, "Trust it? ").unwrap();
    for (typed, expected) in [("yes\r", Answer::Yes), ("no\r", Answer::No), ("\r", Answer::No)] {
        let (answered, shown) = asked(ask, &[("Trust it? ", typed)]);
        assert_eq!(answered, expected, "{typed:?}");
        assert_eq!(shown, format!("Trust it? {}\r\n", typed.trim_end()));
    }
    for (typed, echo) in [("ye\x03", "ye^C"), ("\x04", ""), ("yes\x04", "yes")] {
        let (answered, shown) = asked(ask, &[("Trust it? ", typed)]);
        assert_eq!((answered, shown), (Answer::No, format!("Trust it? {echo}\r\n")), "{typed:?}");
    }
    let (answered, _) =
        asked(ask, &[("Trust it? ", "y\r"), (REMINDER, "Y\r"), (REMINDER, "x\r"), (REMINDER, "yes\r")]);
    assert_eq!(answered, Answer::Yes);
    let (answered, shown) =
        asked(ask, &[("it? ", "y\r"), (REMINDER, "y\r"), (REMINDER, "y\r"), (REMINDER, "y\r")]);
    assert_eq!((answered, shown.matches(REMINDER).count()), (Answer::No, REPETITIONS));
}

/// Not a test by itself: the process that the tests below start.
#[test]
#[ignore = "asks whoever runs it"]
fn in_a_process_of_its_own() {
    let secret =
        ask_secret("Passphrase: ").map(|secret| String::from_utf8_lossy(&secret.unwrap()).into_owned());
    let asked = secret.and_then(|secret| Ok((secret, ask_yes("Trust it? ")?)));
    println!("answered: {:?}", asked);
}

/// A command that asks, in a session of its own; its output is read through the pipe.
fn asking_process(setsid: &[&str], stdin: Stdio) -> Command {
    let mut command = Command::new("setsid");
    command.args(setsid).arg(env::current_exe().unwrap()).args(["--ignored", "--exact", "--nocapture"]);
    command.arg("cli::question::tests::in_a_process_of_its_own");
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn output(command: &mut Command, meanwhile: impl FnOnce()) -> String {
    let mut child = command.spawn().expect("setsid (util-linux) is missing");
    meanwhile();
    let (stdout, (sender, receiver)) = (child.stdout.take().unwrap(), mpsc::channel());
    thread::spawn(move || sender.send(io::read_to_string(stdout)));
    let output = receiver.recv_timeout(DEADLINE);
    child.kill().unwrap();
    child.wait().unwrap();
    output.expect("the process does not end").unwrap()
}

#[test]
fn without_a_terminal_nobody_is_asked() {
    let output = output(&mut asking_process(&[], Stdio::null()), || ());
    assert!(output.contains("answered: Err(NobodyToAsk(NoTerminal))"), "{output}");
}

#[test]
fn the_controlling_terminal_is_asked_whatever_stdout_is() {
    let mut pty = Pty::open();
    let stdin = pty.end().into();
    let output = output(&mut asking_process(&["--ctty"], stdin), || {
        pty.wait_for("Passphrase: ");
        pty.write("secret\r");
        pty.wait_for("Trust it? ");
        pty.write("yes\r");
    });
    assert!(output.contains(r#"answered: Ok(("secret", Yes))"#), "{output}");
}

#[test]
fn in_the_background_nobody_is_asked() {
    let pty = Pty::open();
    let in_background = ["--ctty", "sh", "-mc", "\"$@\" & wait", "sh"];
    let output = output(&mut asking_process(&in_background, pty.end().into()), || ());
    assert!(output.contains("answered: Err(NobodyToAsk(InBackground))"), "{output}");
}
