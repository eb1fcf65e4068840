//! What stands before a key in `authorized_keys` holds, for as long as it stands there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use common::greeting::{CloseCode, Hello};
use common::packet::Packet;
use tests::{
    DEADLINE, Mark, Ran, RawClient, Running, Sandbox, TestServer, client_key, strange_key, wait_until,
};

/// How long a session may outlive the permission it rests on.
const END: Duration = Duration::from_secs(2);

/// What a machine under load may add to that.
const LOAD: Duration = Duration::from_secs(4);

/// A server that lets the client's key in by these lines; `KEY` in them stands for the key.
fn server(lines: &str) -> TestServer {
    let sandbox = Sandbox::with_keys();
    write_lines(&sandbox, lines);
    TestServer::options_in(sandbox).listen("127.0.0.1:0").patient().start()
}

fn write_lines(sandbox: &Sandbox, lines: &str) {
    sandbox.settings("authorized_keys", lines.replace("KEY", &client_key().public().to_string()));
}

/// The key is let in.
#[track_caller]
fn admits(lines: &str) {
    assert_eq!(server(lines).run(["echo in"]).succeeds(), "in\n", "{lines}");
}

/// The key is not let in, and the client is told no more than that; gives the log.
#[track_caller]
fn refuses(lines: &str) -> String {
    let server = server(lines);
    let message = server.run(["echo in"]).complains("client", 125);
    assert!(message.contains("this key is not authorised"), "{lines}: {message}");
    server.log()
}

/// A time as `expiry-time` has it.
fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let date = Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%Y%m%d%H%M%SZ"]).output();
    String::from_utf8(date.unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn a_forced_command_runs_whatever_is_asked_for() {
    let server = server("command=\"echo forced: $TELEX_ORIGINAL_COMMAND\" KEY\n");
    assert_eq!(server.run(["rm -rf x; echo 'a  b'"]).succeeds(), "forced: rm -rf x; echo 'a b'\n");
    assert_eq!(server.run(["--", "true"]).succeeds(), "forced: true\n");
}

#[test]
fn a_forced_command_can_split_the_words_that_were_asked_for() {
    // Evaluated by a shell, the original gives the same words again.
    let server =
        server("command=\"eval \\\"set -- $TELEX_ORIGINAL_COMMAND\\\"; printf '<%s>' \\\"$@\\\"\" KEY\n");
    let words = ["printf", "a  b", "it's", "", "$HOME;`id`", "*", "-n", "ü\n", "\\", "\"", "a=b"];
    let expected: String = words.iter().map(|word| format!("<{word}>")).collect();
    assert_eq!(server.run(["--"].iter().chain(&words)).succeeds(), expected);
}

#[test]
fn a_forced_command_has_the_clients_input_and_outcome() {
    let server = server("command=\"cat; echo err >&2; exit 7\" KEY\n");
    let ran = server.run_with_input(["true"], b"input").exits(7);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("input", "err\n"));
}

#[test]
fn a_forced_command_is_not_steered_by_directory_or_variables() {
    let server = server("command=\"pwd; env\" KEY\n");
    let message = server.run(["--cwd", "/tmp", "true"]).complains("client", 125);
    assert!(message.contains("this key may not choose a directory"), "{message}");
    for name in
        ["PATH", "LD_PRELOAD", "BASH_ENV", "HOME", "TELEX_ORIGINAL_COMMAND", "LANGUAGE", "lang", "XLC_A"]
    {
        let message = server.run(["-e", &format!("{name}=x"), "true"]).complains("client", 125);
        assert!(message.contains(&format!("this key may not set the variable {name}")), "{message}");
    }
    for name in ["LANG", "LC_ALL", "LC_TIME", "TERM", "COLORTERM"] {
        let text = server.run(["-e", &format!("{name}=C"), "true"]).succeeds();
        assert!(text.contains(&format!("\n{name}=C\n")), "{text}");
        assert!(text.contains("\nTELEX_ORIGINAL_COMMAND=true\n"), "{text}");
    }
}

#[test]
fn restrict_leaves_the_command_and_takes_the_variables() {
    let server = server("restrict KEY\n");
    assert_eq!(server.run(["--cwd", "/usr", "pwd"]).succeeds(), "/usr\n");
    assert_eq!(server.run(["-e", "LC_ALL=C", "echo $LC_ALL"]).succeeds(), "C\n");
    let message = server.run(["-e", "PATH=/x", "true"]).complains("client", 125);
    assert!(message.contains("this key may not set the variable PATH"), "{message}");
}

#[test]
fn a_restricted_key_has_no_prompt_and_is_told_so_before_its_first_line() {
    for options in ["restrict", "command=\"echo forced\""] {
        let server = server(&format!("{options} KEY\n"));
        let script = b"echo one\necho two\n";
        let message = Ran::with_input(server.client().arg("repl"), script).complains("client", 125);
        let sentence = "this key is restricted on the server and has no prompt; use client run";
        assert_eq!(message, sentence, "{options}");
    }
}

#[test]
fn environment_is_set_and_wins() {
    let server = server("environment=\"WHO=me\",environment=\"LANG=C\",environment=\"WHO=you\" KEY\n");
    assert_eq!(server.run(["-e", "WHO=x", "-e", "LANG=y", "echo $WHO $LANG"]).succeeds(), "me C\n");
}

#[test]
fn from_names_who_may_come() {
    admits("from=\"127.0.0.1\" KEY\n");
    admits("from=\"127.0.0.0/8,192.0.2.1\" KEY\n");
    admits("from=\"127.*\" KEY\n");
    for wrong in ["127.0.0.2", "192.0.2.0/24", "::1", "127.0.0.0/8,!127.0.0.1", "!127.0.0.2"] {
        let log = refuses(&format!("from=\"{wrong}\" KEY\n"));
        assert!(log.contains("not from this address"), "{log}");
    }
}

#[test]
fn a_key_whose_time_is_past_is_refused() {
    let log = refuses("expiry-time=\"20200101\" KEY\n");
    assert!(log.contains("the key has expired"), "{log}");
    admits("expiry-time=\"20990101\" KEY\n");
}

#[test]
fn a_line_that_is_not_understood_lets_nobody_in_and_the_others_do() {
    for (options, reason) in [
        ("no-such-option", "unknown option \"no-such-option\""),
        ("cert-authority", "unknown option \"cert-authority\""),
        ("restrict=\"x\"", "unknown option \"restrict=\""),
        ("permitopen=\"*:1\"", "unknown option \"permitopen=\""),
        ("command=\"a\",command=\"b\"", "the option command comes twice"),
        ("from=\"host.example\"", "\"host.example\""),
        ("expiry-time=\"soon\"", "\"soon\""),
    ] {
        let log = refuses(&format!("# mine\n{options} KEY\n"));
        assert!(!log.contains("panicked"), "{log}");
        let server = server(&format!("# mine\n{options} KEY\nenvironment=\"A=b\" KEY other line\n"));
        assert_eq!(server.run(["echo $A"]).succeeds(), "b\n");
        for verb in ["check", "keys"] {
            let text = Ran::of(server.server().arg(verb)).succeeds();
            let place = format!("{}:2: ", server.settings_path("authorized_keys").display());
            let line =
                text.lines().find_map(|line| line.strip_prefix(&place)).unwrap_or_else(|| panic!("{text}"));
            assert!(line.contains(reason), "{options}: {line}");
            assert!(line.len() < 200, "{line}");
        }
    }
}

#[test]
fn of_two_lines_for_a_key_the_first_that_permits_counts() {
    let server = server(
        "from=\"192.0.2.1\",environment=\"A=1\" KEY\nexpiry-time=\"20200101\",environment=\"A=2\" KEY\n\
         environment=\"A=3\" KEY\nenvironment=\"A=4\" KEY\n",
    );
    assert_eq!(server.run(["echo $A"]).succeeds(), "3\n");
}

/// A client that runs `sleep`, marked.
fn sleeper(server: &TestServer, mark: &Mark) -> Running {
    let arguments = mark.option().into_iter().chain(["sleep 1000".to_owned()]);
    let client = Running::start(server.client().arg("run").args(arguments));
    mark.wait_for_program("sleep");
    client
}

/// Waits until the session has ended, and its job with it; from `start` on that may take as long as promised.
#[track_caller]
fn is_sent_away(client: Running, mark: &Mark, start: Instant) {
    mark.wait_until_gone();
    assert!(start.elapsed() < END + LOAD, "it took {:?}", start.elapsed());
    let message = client.finish().complains("client", 125);
    assert!(message.contains("not authorised any more") && message.contains("lost"), "{message}");
}

#[test]
fn a_session_ends_when_the_time_of_its_key_is_over() {
    let server = server("KEY\n");
    let end = SystemTime::now() + Duration::from_secs(3);
    write_lines(&server, &format!("expiry-time=\"{}\" KEY\n", utc(end)));
    let mark = Mark::new();
    let client = sleeper(&server, &mark);
    wait_until("the key has expired", DEADLINE, || SystemTime::now() > end);
    is_sent_away(client, &mark, Instant::now());
    server.run(["true"]).complains("client", 125);
}

#[test]
fn a_session_ends_when_the_options_of_its_key_change() {
    let changes = [
        "restrict KEY\n",
        "from=\"192.0.2.1\" KEY\n",
        "environment=\"A=b\" KEY\nKEY\n",
        "# KEY\n",
        "bad KEY\n",
    ];
    for change in changes {
        let server = server("KEY one comment\n");
        let mark = Mark::new();
        let client = sleeper(&server, &mark);
        write_lines(&server, change);
        is_sent_away(client, &mark, Instant::now());
    }
}

#[test]
fn a_session_goes_on_when_the_file_changes_and_its_options_do_not() {
    let other = strange_key().public();
    let server = server(&format!("restrict KEY one comment\n{other} another key\n"));
    let mut witness = RawClient::connect_as(strange_key(), server.address());
    witness.send(Packet::Hello(Hello::new("", "witness")));
    assert!(matches!(witness.hear(), Some(Packet::Welcome(_))));
    let mut client = Running::start(server.client().args(["run", "cat"]));
    client.write(b"before\n");
    client.wait_for_stdout("before\n");
    write_lines(&server, "no-such-option KEY\n\nrestrict KEY another comment\n");
    // The other key's session ends, so the new file has been looked at.
    witness.is_refused_aloud(CloseCode::Denied);
    client.write(b"after\n");
    client.wait_for_stdout("after\n");
    client.finish().exits(0);
}
