//! Words arrive as they were given: an argv is never joined, split or looked at by a shell.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use tests::{Noise, Ran, TestServer};

/// Has the words printed back, each with a NUL behind it.
#[track_caller]
fn arrive_unchanged(server: &TestServer, words: &[OsString]) {
    let mut command = server.client();
    command.args(["run", "--", "/usr/bin/printf", "%s\\0"]).args(words);
    let ran = Ran::of(&mut command).exits(0);
    let expected: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    assert!(
        ran.stdout == expected,
        "found:    {}\nexpected: {}",
        ran.text(),
        String::from_utf8_lossy(&expected)
    );
}

fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.into_iter().map(OsString::from).collect()
}

#[test]
fn spaces_quotes_and_everything_a_shell_would_touch_arrive_unchanged() {
    let server = TestServer::start();
    arrive_unchanged(
        &server,
        &words(["a b", "  ", "\t", "it's", "\"quoted\"", "\\", "\\\\n", "`date`", "$HOME"]),
    );
    arrive_unchanged(
        &server,
        &words(["*", "?", "[a-z]", "~", "c;d", "a|b", "a&b", ">file", "<", "#", "!", "{a,b}"]),
    );
    arrive_unchanged(&server, &words(["two\nlines", "\n", "carriage\rreturn", "\u{1b}[31m", "\u{7f}"]));
}

#[test]
fn words_of_any_language_arrive_unchanged() {
    let server = TestServer::start();
    arrive_unchanged(&server, &words(["grüße", "日本語", "🦀", "e\u{301}", "\u{200b}", "مرحبا"]));
}

#[test]
fn words_that_are_not_utf8_arrive_unchanged() {
    let server = TestServer::start();
    let every_byte: Vec<u8> = (1..=255).collect();
    arrive_unchanged(&server, &[OsString::from_vec(every_byte), OsString::from_vec(vec![0xff, 0xfe, 0x80])]);
}

#[test]
fn empty_words_arrive() {
    let server = TestServer::start();
    arrive_unchanged(&server, &words([""]));
    arrive_unchanged(&server, &words(["", "", "a", ""]));
}

#[test]
fn words_that_look_like_options_are_the_commands() {
    let server = TestServer::start();
    arrive_unchanged(&server, &words(["--", "-n", "--cwd", "-e", "--json", "-H", "--help", "--version"]));
}

#[test]
fn a_thousand_words_arrive_in_order() {
    let server = TestServer::start();
    let mut noise = Noise::new(1000);
    let words: Vec<OsString> = (0..1000)
        .map(|_| {
            let len = noise.below(60);
            let bytes = noise.bytes(len);
            OsString::from_vec(bytes.into_iter().filter(|byte| *byte != 0).collect())
        })
        .collect();
    arrive_unchanged(&server, &words);
}

#[test]
fn one_word_of_a_hundred_kilobytes_arrives() {
    let server = TestServer::start();
    arrive_unchanged(&server, &[OsString::from("x".repeat(100_000))]);
}

#[test]
fn one_word_is_a_string_for_the_shell() {
    let server = TestServer::start();
    assert_eq!(server.run(["echo $((6 * 7)) | tr 4 5"]).succeeds(), "52\n");
    assert_eq!(server.run(["printf '%s.' 'a  b' c"]).succeeds(), "a  b.c.");
}

#[test]
fn several_words_are_an_argv() {
    let server = TestServer::start();
    assert_eq!(server.run(["echo", "$HOME", "a;b", "x  y"]).succeeds(), "$HOME a;b x  y\n");
    assert_eq!(server.run(["printf", "%s.", "a b", "c"]).succeeds(), "a b.c.");
}

#[test]
fn options_behind_the_program_are_the_programs() {
    let server = TestServer::start();
    assert_eq!(server.run(["echo", "-n", "hello"]).succeeds(), "hello");
    assert_eq!(server.run_with_input(["head", "-n1"], b"one\ntwo\n").succeeds(), "one\n");
    assert_eq!(server.run(["echo", "--cwd", "/tmp", "--", "-e"]).succeeds(), "--cwd /tmp -- -e\n");
}

#[test]
fn one_word_behind_two_dashes_is_a_program() {
    let server = TestServer::start();
    assert_eq!(server.run(["--", "pwd"]).exits(0).stdout.last(), Some(&b'\n'));
    let message = server.run(["--", "echo hello"]).complains("client", 127);
    assert!(message.starts_with("echo hello: not found"), "{message}");
}

#[test]
fn the_shell_string_may_hold_any_bytes_and_lines() {
    let server = TestServer::start();
    let script = OsStr::from_bytes(b"# a comment\nprintf '\xff\xfe'\necho 'quoted \"twice\"'");
    assert_eq!(server.run([script]).exits(0).stdout, b"\xff\xfequoted \"twice\"\n");
}
