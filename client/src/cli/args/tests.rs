//! What command lines mean, and what is said about those that mean nothing.

use super::*;
use crate::StreamId;
use crate::cli::detach_keys::DetachKeys;
use crate::cli::environment::Assignment;
use crate::cli::terminal::EscapeKey;
use common::job::{OnDisconnect, ResourceLimits};

fn parse(line: &[&str]) -> Result<Options, Instead> {
    Options::parse(["client"].iter().chain(line).map(OsString::from))
}

fn run(line: &[&str]) -> RunOptions {
    let words: Vec<_> = ["run"].iter().chain(line).copied().collect();
    match parse(&words).unwrap().verb {
        Verb::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn complaint(line: &[&str]) -> String {
    match parse(line) {
        Err(Instead::Complain(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// What `line` means: `sh:` and the string, or `argv:` and the words in brackets.
fn meaning(line: &[&str]) -> String {
    match run(line).words {
        Words::LoginShell => "login".to_owned(),
        Words::Shell(text) => format!("sh:{}", text.display()),
        Words::Argv { program, arguments } => {
            let words = std::iter::once(program).chain(arguments);
            words.fold("argv:".to_owned(), |text, word| format!("{text}[{}]", word.display()))
        }
    }
}

#[test]
fn one_word_is_a_shell_string() {
    assert_eq!(meaning(&["ls -l | wc"]), "sh:ls -l | wc");
    assert_eq!(meaning(&["-n", "ls"]), "sh:ls");
    assert_eq!(meaning(&["-e", "A=B", "ls"]), "sh:ls");
    assert_eq!(meaning(&["-"]), "sh:-");
    assert_eq!(meaning(&[""]), "sh:");
}

#[test]
fn several_words_are_an_argv() {
    assert_eq!(meaning(&["ls", "-l"]), "argv:[ls][-l]");
    assert_eq!(meaning(&["-e", "A=B", "ls", "-l"]), "argv:[ls][-l]");
    assert_eq!(meaning(&["touch", "a b", ""]), "argv:[touch][a b][]");
}

#[test]
fn anything_behind_dashes_is_an_argv() {
    assert_eq!(meaning(&["--", "ls"]), "argv:[ls]");
    assert_eq!(meaning(&["-n", "--", "ls -l"]), "argv:[ls -l]");
    assert_eq!(meaning(&["--", "--"]), "argv:[--]");
    assert_eq!(meaning(&["--", "--", "x"]), "argv:[--][x]");
    assert_eq!(meaning(&["--", "-n", "-H", "h"]), "argv:[-n][-H][h]");
}

#[test]
fn after_the_first_word_everything_belongs_to_the_command() {
    assert_eq!(meaning(&["ls", "--"]), "argv:[ls][--]");
    assert_eq!(meaning(&["ls", "--", "x"]), "argv:[ls][--][x]");
    assert_eq!(meaning(&["ls", "-n", "--json", "--help"]), "argv:[ls][-n][--json][--help]");
    assert_eq!(meaning(&["ls", "-H", "h", "--embedded"]), "argv:[ls][-H][h][--embedded]");
    assert!(!run(&["ls", "-n"]).no_stdin);
}

#[test]
fn every_way_to_write_an_option() {
    let all = run(&[
        "--cwd=/tmp",
        "-eA=1",
        "-e=B=2",
        "--env",
        "C",
        "--env-file=f",
        "--timeout=2m",
        "--id=x",
        "-nq",
        "--merge",
        "--wait-output",
        "--json",
        "ls",
    ]);
    assert_eq!(all.cwd, Some("/tmp".into()));
    let assignments = ["A=1", "B=2", "C"].map(|text| Assignment::parse(text.as_ref()).unwrap());
    assert_eq!(all.env, assignments);
    assert_eq!(all.env_file, [PathBuf::from("f")]);
    assert_eq!(all.timeout, Some(Duration::from_secs(120)));
    assert_eq!(all.id.map(|id| id.to_string()).as_deref(), Some("x"));
    assert!(all.no_stdin && all.shown.quiet && all.merge && all.wait_output && all.shown.json);
    assert_eq!(run(&["--stdin", "-", "ls"]).stdin, Some("-".into()));
    assert_eq!(run(&["--cwd=-odd", "ls"]).cwd, Some("-odd".into()));
}

#[test]
fn an_option_takes_no_option_as_its_value() {
    for option in ["-e", "--env", "--cwd", "--env-file", "--stdin", "--timeout", "--id", "-H"] {
        for next in ["--", "-n", "--json"] {
            assert!(complaint(&["run", option, next, "ls"]).contains("needs a value"), "{option} {next}");
        }
        assert!(complaint(&["run", option]).contains("needs a value"), "{option}");
    }
    assert!(complaint(&["run", "--json=3", "ls"]).contains("takes no value"));
    assert!(complaint(&["run", "-n=3", "ls"]).contains("takes no value"));
}

#[test]
fn a_misspelt_option_is_no_command() {
    let sentence = "unknown option --timeot (did you mean --timeout?); see `client run --help`";
    assert_eq!(complaint(&["run", "--timeot", "3s", "ls"]), sentence);
    assert_eq!(complaint(&["run", "-x", "ls"]), "unknown option -x; see `client run --help`");
    assert!(complaint(&["--ident", "x"]).starts_with("unknown option --ident (did you mean --identity?)"));
    assert!(complaint(&["rum", "ls"]).starts_with("unknown command rum (did you mean run?)"));
    assert!(complaint(&["ls"]).starts_with("unknown command ls;"));
    assert!(complaint(&["--cwd", "/", "run", "ls"]).starts_with("unknown option --cwd; see `client --help`"));
}

#[test]
fn something_to_run_is_needed() {
    assert!(complaint(&["run"]).starts_with("nothing to run"));
    assert!(complaint(&["run", "-n"]).starts_with("nothing to run"));
    assert!(complaint(&["run", "--"]).starts_with("nothing to run"));
}

#[test]
fn a_bad_value_says_what_would_be_a_good_one() {
    let sentence = "--timeout soon: write a number and a unit: 500ms, 30s, 2m, 1h";
    assert_eq!(complaint(&["run", "--timeout", "soon", "ls"]), sentence);
    assert!(complaint(&["run", "-e", "=x", "ls"]).starts_with("-e =x: a variable needs a name"));
    assert!(complaint(&["run", "--cwd", "", "ls"]).starts_with("--cwd \"\": name a directory"));
    assert!(complaint(&["run", "--id", "two words", "ls"]).starts_with("--id two words: "));
}

#[test]
fn the_server_can_be_named_before_and_after_the_verb() {
    assert_eq!(parse(&["-H", "db1", "run", "ls"]).unwrap().server.host.as_deref(), Some("db1"));
    assert_eq!(parse(&["run", "-H", "db1", "ls"]).unwrap().server.host.as_deref(), Some("db1"));
    assert!(parse(&["--embedded", "ping"]).unwrap().server.embedded);
    assert!(complaint(&["--embedded", "ping", "-H", "db1"]).contains("exclude each other"));
    assert!(complaint(&["run", "--stdin", "f", "-n", "ls"]).contains("exclude each other"));
}

#[test]
fn a_verb_that_chooses_no_server_takes_no_option_for_that() {
    let line = "telex://db1:9000/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for verb in [&["key"][..], &["join", line]] {
        for option in [&["--accept-new"][..], &["--embedded"], &["-H", "nowhere"], &["--host=nowhere"]] {
            for words in [[verb, option].concat(), [option, verb].concat()] {
                assert!(complaint(&words).contains(" does nothing here: "), "{words:?}");
            }
        }
        assert!(parse(&[verb, &["-i", "file", "--agent"]].concat()).is_ok());
        assert!(parse(&[&["-i", "file", "--agent"], verb].concat()).is_ok());
    }
}

#[test]
fn no_verb_is_the_repl() {
    assert!(matches!(
        parse(&[]).unwrap().verb,
        Verb::Repl(ReplOptions { errexit: false, shell: None, file: None })
    ));
    assert!(matches!(parse(&["-H", "db1"]).unwrap().verb, Verb::Repl(_)));
    let Verb::Repl(repl) = parse(&["repl", "--errexit", "script"]).unwrap().verb else { panic!() };
    assert_eq!((repl.errexit, repl.file), (true, Some("script".into())));
    assert_eq!(complaint(&["repl", "one", "two"]), "unexpected two; see `client repl --help`");
}

#[test]
fn what_a_job_may_take() {
    let limits = run(&["--mem", "2G", "--cpu", "150%", "--pids=200", "--nice=-5", "ls"]).limits;
    let expected = ResourceLimits {
        memory: Some(2 << 30),
        cpu_percent: Some(150),
        processes: Some(200),
        nice: Some(-5),
    };
    assert_eq!(limits, expected);
    for (option, value, good) in [
        ("--mem", "lots", "write a number and a unit: 512M"),
        ("--mem", "0", "write more than 0"),
        ("--cpu", "1.5", "write per cent of one processor: 50%"),
        ("--cpu", "0%", "write per cent"),
        ("--pids", "0", "write a number of processes, from 1 on"),
        ("--nice", "20", "write a number from -20 (first) to 19 (last)"),
        ("--detach-keys", "ctrl-1", "write keys with commas"),
    ] {
        let sentence = complaint(&["run", option, value, "ls"]);
        assert!(sentence.starts_with(&format!("{option} {value}: {good}")), "{sentence}");
    }
    assert!(complaint(&["run", "--nice", "-5", "ls"]).contains("behind ="));
}

#[test]
fn what_is_kept_is_supervised() {
    assert!(!run(&["ls"]).supervised());
    assert!(!run(&["--on-disconnect", "kill", "ls"]).supervised());
    assert!(run(&["--on-disconnect", "keep", "ls"]).supervised());
    assert!(run(&["--id", "x", "ls"]).supervised() && run(&["--detach", "ls"]).supervised());
    assert_eq!(run(&["--on-disconnect=keep", "ls"]).on_disconnect, Some(OnDisconnect::Keep));
}

#[test]
fn a_detached_job_has_nobody_to_show_anything_to() {
    for option in ["--json", "--time", "--on-disconnect=kill", "--detach-keys="] {
        assert!(complaint(&["run", "--detach", option, "ls"]).contains("exclude each other"), "{option}");
    }
    assert!(complaint(&["--embedded", "run", "--detach", "ls"]).contains("exclude each other"));
    assert!(
        complaint(&["run", "--detach", "--stdin", "f", "ls"]).starts_with("--detach and --stdin exclude")
    );
    assert!(run(&["--detach", "-n", "-q", "ls"]).detach);
}

#[test]
fn keys() {
    assert_eq!(run(&["ls"]).shown.detach_keys, None);
    let keys = run(&["--detach-keys", "", "ls"]).shown.detach_keys.unwrap();
    assert_eq!(keys.bytes(), b"");
    assert_eq!(run(&["--detach-keys=ctrl-\\,d", "ls"]).shown.detach_keys, Some(DetachKeys::default()));
}

#[test]
fn a_terminal_is_asked_for_once_or_twice() {
    for (line, tty) in [
        (&["ls"][..], Tty::No),
        (&["-t", "ls"], Tty::IfThere),
        (&["--tty", "ls"], Tty::IfThere),
        (&["-tt", "ls"], Tty::Always),
        (&["-t", "-n", "--tty", "ls"], Tty::Always),
        (&["-ttt", "ls"], Tty::Always),
        (&["ls", "-t"], Tty::No),
        (&["--detach", "-t", "ls"], Tty::IfThere),
    ] {
        assert_eq!(run(line).tty, tty, "{line:?}");
    }
    for option in ["--merge", "--json", "--stdin=f"] {
        assert!(complaint(&["run", "-t", option, "ls"]).starts_with("--tty and --"), "{option}");
        assert!(complaint(&["run", option, "-tt", "ls"]).ends_with(" exclude each other"), "{option}");
    }
}

#[test]
fn the_escape_key_is_a_key_or_none() {
    assert_eq!(run(&["-t", "ls"]).shown.escape_key, None);
    let key = |text: &str| run(&["-t", "--escape-key", text, "ls"]).shown.escape_key;
    assert_eq!(key("~"), Some(EscapeKey::default()));
    assert_ne!(key("ctrl-]"), key("none"));
    assert!(
        complaint(&["run", "--escape-key", "ab", "ls"]).starts_with("--escape-key ab: write a character")
    );
    assert!(complaint(&["run", "--detach", "--escape-key=~", "ls"]).contains("exclude each other"));
}

#[test]
fn jobs_are_named_by_their_ids() {
    let Verb::Logs(logs) = parse(&["logs", "-f", "x", "--from=7", "--stderr"]).unwrap().verb else {
        panic!()
    };
    assert_eq!((logs.job.as_str(), logs.follow, logs.from), ("x", true, Beginning::At(7)));
    assert_eq!(logs.only, Some(StreamId::Stderr));
    let Verb::Attach(attach) = parse(&["attach", "--from", "now", "x", "-nq"]).unwrap().verb else {
        panic!()
    };
    assert!(
        attach.no_stdin && attach.shown.quiet && attach.from == Some(Beginning::Now) && !attach.read_only
    );
    let Verb::Wait(wait) = parse(&["wait", "a", "--timeout", "0", "b"]).unwrap().verb else { panic!() };
    assert_eq!((wait.jobs.len(), wait.timeout), (2, Some(Duration::ZERO)));
    for verb in ["attach", "logs", "wait", "signal", "forget"] {
        assert!(complaint(&[verb]).starts_with("no job; write its id"), "{verb}");
        let long = "x".repeat(65);
        assert!(complaint(&[verb, &long]).contains(": a job id has 1 to 64 bytes, not 65;"), "{verb}");
        assert!(complaint(&[verb, ""]).starts_with("\"\": a job id has 1 to 64 bytes, not 0;"), "{verb}");
        assert!(complaint(&[verb, "a\x1bb"]).contains("no control characters;"), "{verb}");
        assert!(complaint(&[verb, "--embedded", "x"]).contains("exclude each other"), "{verb}");
    }
    assert!(complaint(&["logs", "x", "y"]).starts_with("unexpected y"));
    assert!(
        complaint(&["logs", "x", "--from", "then"])
            .starts_with("--from then: write oldest, now, or a number")
    );
    assert!(complaint(&["job"]).starts_with("unknown command job (did you mean jobs?)"));
}

#[test]
fn the_job_comes_before_the_signal() {
    let signal = |line: &[&str]| match parse(line).unwrap().verb {
        Verb::Signal(options) => format!("{} {}", options.job, options.signal),
        other => panic!("{other:?}"),
    };
    assert_eq!(signal(&["signal", "x"]), "x TERM");
    assert_eq!(signal(&["signal", "x", "sigint"]), "x INT");
    assert_eq!(signal(&["signal", "x", "9"]), "x KILL");
    assert!(complaint(&["signal", "x", "FOO"]).starts_with("no such signal: FOO; write a name or a number"));
    for kill in ["-9", "-TERM"] {
        assert!(
            complaint(&["signal", kill, "x"]).contains("the job comes first: client signal ID"),
            "{kill}"
        );
    }
}

#[test]
fn ping_counts_from_one() {
    assert!(complaint(&["ping", "-c", "0"]).starts_with("-c 0: "));
    let Verb::Ping(ping) = parse(&["ping", "-c", "3", "-i", "0.2"]).unwrap().verb else { panic!() };
    assert_eq!((ping.count, ping.interval), (3, Duration::from_millis(200)));
    assert_eq!(complaint(&["ping", "host"]), "unexpected host; see `client ping --help`");
}

#[test]
fn help_is_where_it_is_looked_for() {
    for (line, page) in [
        (&["--help"][..], Page::Client),
        (&["-h"], Page::Client),
        (&["help"], Page::Client),
        (&["help", "run"], Page::Run),
        (&["help", "help"], Page::Client),
        (&["run", "--help"], Page::Run),
        (&["run", "-n", "-h", "ls"], Page::Run),
        (&["shell", "--cwd", "/", "-h"], Page::Shell),
        (&["ping", "-h"], Page::Ping),
        (&["repl", "--help"], Page::Repl),
        (&["jobs", "-h"], Page::Jobs),
        (&["help", "attach"], Page::Attach),
        (&["logs", "--help"], Page::Logs),
        (&["wait", "-h"], Page::Wait),
        (&["signal", "x", "--help"], Page::Signal),
        (&["help", "forget"], Page::Forget),
    ] {
        assert_eq!(parse(line).unwrap_err(), Instead::Help(page), "{line:?}");
    }
    assert!(complaint(&["help", "run", "ping"]).starts_with("unexpected ping"));
    assert!(complaint(&["help", "--run"]).starts_with("unknown option --run"));
    assert_eq!(parse(&["--version"]).unwrap_err(), Instead::Version);
    assert_eq!(parse(&["-V"]).unwrap_err(), Instead::Version);
}

#[test]
fn a_shell_takes_a_command_only_behind_dashes() {
    let shell = |line: &[&str]| match parse(&[&["shell"], line].concat()).unwrap().verb {
        Verb::Shell(shell) => shell,
        other => panic!("{other:?}"),
    };
    let all = shell(&["--cwd=/tmp", "-eA=1", "--grace", "5s", "--id", "x", "--escape-key=none", "-q"]);
    assert_eq!((all.words, all.tty), (Words::LoginShell, Tty::Always));
    assert_eq!((all.cwd, all.grace), (Some("/tmp".into()), Some(Duration::from_secs(5))));
    assert!(all.shown.quiet && all.shown.escape_key.is_some() && all.env.len() == 1);
    let words = shell(&["-q", "--", "vi", "-R"]).words;
    assert_eq!(words, Words::Argv { program: "vi".into(), arguments: vec!["-R".into()] });
    assert!(complaint(&["shell", "db1"]).starts_with("unexpected db1"));
    assert!(complaint(&["shell", "--json"]).starts_with("unknown option --json"));
    assert!(complaint(&["shell", "--"]).starts_with("nothing stands behind --"));
}

#[test]
fn every_option_in_the_help_exists() {
    for (page, verb) in [
        (Page::Run, "run"),
        (Page::Shell, "shell"),
        (Page::Jobs, "jobs"),
        (Page::Attach, "attach"),
        (Page::Logs, "logs"),
        (Page::Wait, "wait"),
        (Page::Signal, "signal"),
        (Page::Forget, "forget"),
        (Page::Ping, "ping"),
        (Page::Repl, "repl"),
        (Page::Client, "help"),
    ] {
        let options: Vec<_> = page.options().collect();
        assert!(options.len() > 3, "{options:?}");
        for option in options.into_iter().filter(|option| !matches!(*option, "-V" | "--version")) {
            let unknown = matches!(
                parse(&[verb, option, "1"]),
                Err(Instead::Complain(UsageError::UnknownOption { .. }))
            );
            assert!(!unknown, "{verb} {option}");
        }
        assert!(page.text().lines().all(|line| line.len() <= 80), "{verb}: too wide for a terminal");
    }
}

#[test]
fn no_line_panics() {
    let parts = ["run", "-", "--", "-n=", "--=", "-é", "--é=ü", "=", "-H", "\u{0}", "--help=1", "-hV"];
    for first in parts {
        for second in parts {
            for third in parts {
                // Whatever comes of it.
                let _options = parse(&[first, second, third]);
            }
        }
    }
}

/// The sources of the parser, the one list of what it takes.
const PARSER: &str = concat!(
    include_str!("../args.rs"),
    include_str!("run.rs"),
    include_str!("shell.rs"),
    include_str!("jobs.rs")
);

#[test]
fn every_option_that_exists_is_in_the_help() {
    let jobs = [Page::Jobs, Page::Attach, Page::Logs, Page::Wait, Page::Signal, Page::Forget];
    let pages = [Page::Client, Page::Run, Page::Shell, Page::Ping, Page::Repl, Page::Key, Page::Join]
        .into_iter()
        .chain(jobs);
    let listed: Vec<_> = pages.flat_map(Page::options).collect();
    let arms = PARSER.split('"').filter(|text| text.starts_with('-') && text.len() > 1);
    let options: Vec<_> = arms.filter(|text| !text.contains(' ')).collect();
    assert!(options.len() > 20, "{options:?}");
    for option in options {
        assert!(listed.contains(&option), "{option}");
    }
}
