//! Whatever a server, a file or a name says: what the programs print themselves can neither drive a terminal nor look like
//! another line. What a command prints goes through as it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::process::{Command, Stdio};

use common::frame::StreamId;
use common::greeting::{Close, CloseCode, Features, VERSION, Welcome};
use common::job::{Ended, Outcome, Resource, StartFailure};
use common::message::ServerMessage;
use common::packet::Packet;
use serde_json::Value;
use tests::{
    DEADLINE, Ran, RawListener, RawServer, Running, Sandbox, Terminal, TestServer, client_key, host_key,
    strange_key, wait_until,
};

/// Takes the clipboard, asks the terminal to type, clears it, goes back, turns the text around and ends the line.
const HOSTILE: &str = "a\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}[6n\u{1b}[2J\u{9b}31m\u{90}q\u{7f}\u{8}\r\nclient: \u{202e}\u{2066}\u{2028}z";

/// Requires that nothing in `shown` is more than text and ends of lines.
#[track_caller]
fn is_harmless(shown: &[u8]) {
    let text = str::from_utf8(shown).unwrap_or_else(|_| panic!("not UTF-8: {}", shown.escape_ascii()));
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmful = text.chars().find(|c| (c.is_control() && *c != '\n') || turns(*c));
    assert_eq!(harmful, None, "{text:?}");
}

/// A program that runs, on a terminal or not.
enum Watched {
    Piped(Running),
    OnTerminal(std::process::Child, Terminal),
}

impl Watched {
    fn start(command: &mut Command, on_terminal: bool) -> Self {
        if !on_terminal {
            return Self::Piped(Running::start_with(command, Stdio::null()));
        }
        let terminal = Terminal::new();
        let child =
            command.stdin(Stdio::null()).stdout(terminal.end()).stderr(terminal.end()).spawn().unwrap();
        Self::OnTerminal(child, terminal)
    }

    /// Waits for its end; all that it has shown.
    fn finish(self) -> String {
        match self {
            Self::Piped(running) => {
                let ran = running.finish();
                ran.text() + &ran.errors()
            }
            Self::OnTerminal(mut child, mut terminal) => {
                wait_until("the program ends", DEADLINE, || child.try_wait().unwrap().is_some());
                // The terminal's own, at every end of a line.
                terminal.shown().replace("\r\n", "\n")
            }
        }
    }
}

/// Has a client with these arguments meet a server that behaves so, once for a pipe and once for a terminal; requires that
/// neither shows anything harmful, and gives what came through the pipe.
#[track_caller]
fn meets(arguments: &[&str], behaviour: impl Fn(&RawListener)) -> String {
    let mut piped = String::new();
    for on_terminal in [true, false] {
        let (sandbox, listener) = (Sandbox::new(), RawListener::new());
        let client =
            Watched::start(sandbox.client().args(["-H", &listener.address()]).args(arguments), on_terminal);
        behaviour(&listener);
        piped = client.finish();
        is_harmless(piped.as_bytes());
        assert!(!piped.contains("\nclient: \\"), "a line of its own: {piped}");
    }
    piped
}

fn close(mut peer: RawServer, code: CloseCode) {
    peer.send(Packet::Close(Close::new(code, HOSTILE)));
    peer.end();
    peer.hear_close();
}

const RUN: [&str; 3] = ["run", "-n", "echo hi"];
const RUN_JSON: [&str; 4] = ["run", "-n", "--json", "echo hi"];

#[test]
fn why_a_server_closes() {
    for code in CloseCode::ALL.into_iter().chain([CloseCode::Unknown(77)]) {
        for arguments in [&RUN[..], &RUN_JSON, &["ping", "-c", "1"], &["repl"]] {
            let shown = meets(arguments, |listener| close(listener.accept(), code));
            assert!(shown.contains("52;c;ZXZpbA=="), "the reason is shown all the same: {shown}");
        }
        meets(&RUN, |listener| close(listener.accept_job().0, code));
        meets(&RUN_JSON, |listener| close(listener.accept_job().0, code));
    }
}

#[test]
fn why_a_server_that_is_known_closes() {
    let (sandbox, listener) = (Sandbox::with_keys(), RawListener::secure(host_key()));
    let client = Running::start(sandbox.client().args(["-H", &listener.address()]).args(RUN));
    close(listener.accept(), CloseCode::Denied);
    let message = client.finish().complains("client", 125);
    is_harmless(message.as_bytes());
    assert!(message.contains("52;c;ZXZpbA=="), "{message}");
}

#[test]
fn why_a_job_has_no_outcome() {
    let text = || HOSTILE.to_owned();
    for outcome in [
        Outcome::NotStarted(StartFailure::NotFound { program: text(), searched: text() }),
        Outcome::NotStarted(StartFailure::NotFound { program: text(), searched: String::new() }),
        Outcome::NotStarted(StartFailure::NotExecutable { program: text(), reason: text() }),
        Outcome::NotStarted(StartFailure::Directory { path: text(), reason: text() }),
        Outcome::NotStarted(StartFailure::Invalid(text())),
        Outcome::NotStarted(StartFailure::Exhausted(text())),
        Outcome::NotStarted(StartFailure::Refused(text())),
        Outcome::NotStarted(StartFailure::Limit { limit: Resource::Memory, reason: text() }),
        Outcome::Lost(text()),
    ] {
        let end = |listener: &RawListener| {
            let (mut peer, job) = listener.accept_job();
            if matches!(outcome, Outcome::Lost(_)) {
                peer.send_started(job);
                peer.send_eof(job, StreamId::Stdout, 0);
                peer.send_eof(job, StreamId::Stderr, 0);
            }
            let ended = Ended::without_output(outcome.clone());
            peer.send_message(job, ServerMessage::Ended(ended));
            peer.hear_close();
        };
        let shown = meets(&RUN, end);
        assert!(shown.contains("52;c;ZXZpbA=="), "{shown}");
        let shown = meets(&RUN_JSON, end);
        let events = shown.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let messages: Vec<String> =
            events.filter_map(|event| Some(event["message"].as_str()?.to_owned())).collect();
        assert!(messages.iter().any(|message| message.contains(HOSTILE)), "JSON says it exactly: {shown}");
    }
}

#[test]
fn what_is_said_while_a_command_has_the_terminal() {
    for lost in [false, true] {
        let (sandbox, listener) = (Sandbox::new(), RawListener::new());
        let terminal = Terminal::new();
        let before = terminal.modes();
        let mut client = sandbox.client();
        let client = terminal
            .start(&sandbox, client.args(["-H", &listener.address(), "run", "-t", "--grace", "0", "vi"]));
        let (mut peer, job) = listener.accept_job();
        peer.send_started(job);
        wait_until("the terminal is raw", DEADLINE, || terminal.modes() != before);
        if lost {
            peer.send_eof(job, StreamId::Stdout, 0);
            peer.send_eof(job, StreamId::Stderr, 0);
            let ended = Ended::without_output(Outcome::Lost(HOSTILE.to_owned()));
            peer.send_message(job, ServerMessage::Ended(ended));
            peer.hear_close();
        } else {
            close(peer, CloseCode::Internal);
        }
        let ran = client.finish().exits(125);
        let ran = ran.text() + &ran.errors();
        assert!(ran.contains("52;c;ZXZpbA=="), "{ran}");
        is_harmless(ran.replace("\r\n", "\n").as_bytes());
        assert_eq!(terminal.modes(), before);
    }
}

#[test]
fn what_a_server_calls_itself() {
    let welcome = |listener: &RawListener, version| {
        let mut peer = listener.accept();
        peer.send(Packet::Welcome(Welcome {
            version,
            software: HOSTILE.to_owned(),
            features: Features::default(),
        }));
        loop {
            match peer.hear() {
                Some(Packet::Ping(echo)) => peer.send(Packet::Pong(echo)),
                Some(Packet::Message { job, .. }) => {
                    peer.send_started(job.0);
                    peer.send_eof(job.0, StreamId::Stdout, 0);
                    peer.send_eof(job.0, StreamId::Stderr, 0);
                    peer.send_success(job.0, 0, 0);
                }
                Some(_) => {}
                None => return,
            }
        }
    };
    for arguments in [&RUN[..], &RUN_JSON, &["ping", "-c", "1"], &["run", "-n", "-q", "true"]] {
        meets(arguments, |listener| welcome(listener, VERSION));
        meets(arguments, |listener| welcome(listener, VERSION + 1));
    }
}

#[test]
fn what_a_server_answers_that_is_none() {
    meets(&RUN, |listener| {
        let mut peer = listener.accept();
        peer.send_bytes(HOSTILE.as_bytes());
        peer.end();
        peer.hear_all();
    });
}

#[test]
fn why_there_is_no_shell_for_the_prompt() {
    let shown = meets(&["repl"], |listener| {
        let (mut peer, job) = listener.accept_job();
        peer.send_started(job);
        peer.send_data(job, StreamId::Stderr, 0, HOSTILE.as_bytes());
        let totals =
            [(StreamId::Stdout, 0), (StreamId::Stderr, HOSTILE.len() as u64), (StreamId::Control, 0)];
        totals.iter().for_each(|(stream, bytes)| peer.send_eof(job, *stream, *bytes));
        peer.send_success_after(job, &totals);
        peer.hear_close();
    });
    assert!(shown.contains("there is no shell for the prompt"), "{shown}");
}

#[test]
fn the_prompt_in_a_directory_of_a_hostile_name() {
    let server = TestServer::start();
    // Without what no name of a file has.
    let name = HOSTILE.replace('/', "");
    fs::create_dir(server.path(&name)).unwrap();
    let (go, raw) = (server.path("go"), server.path("raw"));
    let script = format!(
        "until [ -e {} ]; do sleep 0.05; done; exec {} -H {}",
        go.display(),
        server.bare_client().get_program().display(),
        server.address()
    );
    let tmux = |arguments: &[&str]| {
        let mut command = server.command("/usr/bin/tmux");
        command.arg("-S").arg(server.path("tmux")).env("TERM", "xterm").env("SHELL", "/bin/sh");
        Ran::of(command.args(arguments)).exits(0).text()
    };
    tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "200", "-y", "30", &script]);
    tmux(&["pipe-pane", "-o", &format!("cat > {}", raw.display())]);
    fs::write(&go, "").unwrap();
    let line = format!("cd {}/a*", server.path("").display());
    tmux(&["send-keys", "-l", &line]);
    tmux(&["send-keys", "Enter"]);
    let shown =
        || fs::read(&raw).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    wait_until("the prompt names the directory", DEADLINE, || shown().contains("\\x1b]52;c;ZXZpbA==\\x07"));
    let shown = shown();
    tmux(&["kill-server"]);
    // The line editor drives the terminal as well, but with nothing of this.
    for harmful in ["\u{1b}]52", "\u{7}", "\u{9b}", "\u{90}", "\u{7f}", "\u{202e}", "\u{2066}"] {
        assert!(!shown.contains(harmful), "{harmful:?} in {shown:?}");
    }
}

#[test]
fn comments_and_lines_of_key_files() {
    let sandbox = Sandbox::with_keys();
    let (one, two) = (client_key().public(), strange_key().public());
    let text = HOSTILE.replace(['\r', '\n'], "");
    let lines = format!(
        "{one} {text}\nno-{text} {two} x\nenvironment=\"A={text}\" {two} {text}\nfrom=\"{text}\" {two}\n"
    );
    let lines = [lines.as_bytes(), b"ssh-ed25519 \xff\x9b\xe2\x80\n\x1b[2J\n"].concat();
    sandbox.settings("authorized_keys", lines);
    sandbox.settings("host_key", host_key().to_openssh(HOSTILE).as_bytes());
    sandbox.settings("id_ed25519", client_key().to_openssh(HOSTILE).as_bytes());
    for verb in ["keys", "check", "key"] {
        let ran = Ran::of(sandbox.server().arg(verb)).exits(0);
        is_harmless(&ran.stdout);
        is_harmless(&ran.stderr);
        assert!(verb == "key" || ran.text().contains("52;c;ZXZpbA=="), "{}", ran.text());
    }
    let mut key = sandbox.client();
    let ran = Ran::of(key.arg("key").env("USER", HOSTILE)).exits(0);
    is_harmless(&ran.stdout);
    let fingerprint = one.fingerprint().to_string();
    is_harmless(&Ran::of(sandbox.server().args(["revoke", &fingerprint])).exits(0).stdout);
    sandbox.settings("revoked_keys", HOSTILE);
    is_harmless(&Ran::of(sandbox.server().arg("keys")).exits(78).stderr);
}

#[test]
fn names_of_files_and_other_words() {
    let sandbox = Sandbox::with_keys();
    let server = TestServer::start();
    let path = sandbox.path(&HOSTILE.replace('/', "")).to_str().unwrap().to_owned();
    fs::write(&path, HOSTILE).unwrap();
    let option = format!("--{HOSTILE}");
    for arguments in [
        &["--config", &path][..],
        &["--config", HOSTILE, "check"],
        &["--listen", HOSTILE],
        &[HOSTILE],
        &[option.as_str()],
        &["revoke", HOSTILE],
        &["authorize", HOSTILE],
        &["invite", "--options", HOSTILE],
        &["invite", "--ttl", HOSTILE],
        &["invite", "--address", HOSTILE],
    ] {
        let ran = Ran::of(sandbox.server().args(arguments));
        assert_ne!(ran.status.code(), Some(0), "{arguments:?}");
        is_harmless(&ran.stderr);
        is_harmless(&ran.stdout);
    }
    for arguments in [
        &[HOSTILE][..],
        &[option.as_str()],
        &["-H", HOSTILE, "ping"],
        &["join", HOSTILE],
        &["repl", &path, &path],
        &["-i", &path, "run", "true"],
        &["--agent", "-i", &path, "run", "true"],
        &["run", "--env-file", &path, "true"],
        &["run", "--env-file", HOSTILE, "true"],
        &["run", "--stdin", HOSTILE, "cat"],
        &["run", "--cwd", HOSTILE, "true"],
        &["run", "--id", HOSTILE, "true"],
        &["run", "--timeout", HOSTILE, "true"],
        &["run", "-e", &format!("={HOSTILE}"), "true"],
        &["run", "-n", "--", HOSTILE],
        &["run", "-n", "--", &path],
        &["run", "-n", "--json", "--", HOSTILE],
    ] {
        let mut client = server.client();
        let ran = Ran::of(client.args(arguments).env("SSH_AUTH_SOCK", HOSTILE));
        assert_ne!(ran.status.code(), Some(0), "{arguments:?}");
        is_harmless(&ran.stderr);
        is_harmless(&ran.stdout);
    }
}

#[test]
fn settings_of_both_programs() {
    let sandbox = Sandbox::with_keys();
    let text = HOSTILE.replace(['\r', '\n'], "");
    let quoted = HOSTILE.escape_default().to_string().replace("\\u{", "\\U{");
    for content in
        [format!("\"{text}\" = 1\n"), format!("listen = [\"{text}\"]\n"), format!("a = \"{quoted}\"")]
    {
        sandbox.settings("server.toml", &content);
        is_harmless(&Ran::of(sandbox.server().arg("check")).exits(78).stderr);
    }
    for content in
        [format!("\"{text}\" = 1\n"), format!("default_host = \"{text}\"\n"), format!("[hosts.\"{text}\"]\n")]
    {
        sandbox.settings("config.toml", &content);
        is_harmless(&Ran::of(sandbox.client().arg("ping")).exits(125).stderr);
    }
}

#[test]
fn what_a_command_writes_is_passed_on_as_it_is() {
    let server = TestServer::start();
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let file = server.file("bytes", &bytes);
    let command = format!("cat {0}; cat {0} >&2", file.display());
    let ran = server.run([&command]).exits(0);
    assert!(ran.stdout == bytes && ran.stderr == bytes, "bytes were changed");
    let ran = server.run_with_input(["cat"], &bytes).exits(0);
    assert!(ran.stdout == bytes, "bytes were changed");
}
