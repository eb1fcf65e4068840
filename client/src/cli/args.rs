//! The command line, from the system's words to typed options.
//!
//! Knows clap and nothing of what the options do. Help and usage errors are clap's own text.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use common::job::JobId;

use super::duration;
use super::environment::Assignment;

/// Runs commands on other machines and tells the truth about what happened to them.
#[derive(Debug, Parser)]
#[command(disable_version_flag = true, after_help = EXIT_CODES)]
pub(crate) struct Options {
    /// The server, if one is named.
    #[arg(help = HOST, short = 'H', long, value_name = "TARGET", global = true, conflicts_with = "embedded")]
    pub(crate) host: Option<String>,
    /// Start a private server on this machine for the length of the call
    #[arg(long, global = true)]
    pub(crate) embedded: bool,
    /// Print name and version
    #[arg(short = 'V', long)]
    pub(crate) version: bool,
    /// What to do; the REPL if nothing is said.
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// What `--help` says about `-H`.
const HOST: &str =
    "Server: [user@]host[:port], [v6]:port or unix:/path; else TELEX_HOST, else this user's local server";

/// What `--help` says about exit codes.
const EXIT_CODES: &str = "\
Exit codes: the command's own; 128 + N if signal N killed it; 124 timed out;
125 telex itself failed; 126 cannot be executed; 127 not found.";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a command, and exit as it did
    Run(RunOptions),
    /// Ask the server for signs of life
    Ping(PingOptions),
    /// Run line after line; the directory and exported variables last from one to the next
    Repl(ReplOptions),
    /// What `--embedded` starts: a server for the one connection that is its stdin.
    #[command(hide = true)]
    EmbeddedServer,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Run it in this directory; a relative one counts from the home directory
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    /// Set a variable, or with a bare name copy the local one
    #[arg(short, long = "env", value_name = "K[=V]", value_parser = OsStringValueParser::new().try_map(|text| Assignment::parse(&text)))]
    pub(crate) env: Vec<Assignment>,
    /// Set the variables in this file: NAME=VALUE lines, # comments
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Let it read this file
    #[arg(long, value_name = "FILE", conflicts_with = "no_stdin")]
    pub(crate) stdin: Option<PathBuf>,
    /// Let it read nothing
    #[arg(short, long)]
    pub(crate) no_stdin: bool,
    /// The server ends it after this long: 30s, 500ms, 2m, 1h; a bare number is seconds
    #[arg(long, value_name = "TIME", value_parser = duration::parse_limit)]
    pub(crate) timeout: Option<Duration>,
    /// Send stderr through the same pipe as stdout, in their true order
    #[arg(long)]
    pub(crate) merge: bool,
    /// Wait for whatever holds the output open, not only for the command itself
    #[arg(long)]
    pub(crate) wait_output: bool,
    /// Name the job, instead of a random id
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<JobId>,
    /// Print one JSON event a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing about signals, timeouts and left-open output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// One word is a string for the server's shell; several, or any behind --, are an exact argv without a shell
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    words: Vec<OsString>,
    /// Whether `--` stands before the words.
    #[arg(skip)]
    after_dashes: bool,
}

/// Options of `ping`.
#[derive(Debug, Args)]
pub(crate) struct PingOptions {
    /// How many times
    #[arg(short, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// Seconds from one to the next
    #[arg(short, value_name = "SECONDS", default_value = "1", value_parser = duration::parse)]
    pub(crate) interval: Duration,
}

/// Options of the REPL.
#[derive(Debug, Default, Args)]
pub(crate) struct ReplOptions {
    /// Stop at the first line that fails, with its exit code
    #[arg(long)]
    pub(crate) errexit: bool,
    /// Run the lines of this file
    pub(crate) file: Option<PathBuf>,
}

/// The command to run, in the form in which it was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Words<'a> {
    /// One word: a string for the server's shell.
    Shell(&'a OsStr),
    /// Exactly these words, the program first.
    Argv(&'a OsStr, &'a [OsString]),
}

impl Options {
    /// Reads the command line, the program's name first.
    ///
    /// # Errors
    /// clap's, which may also be a request for help.
    pub(crate) fn parse_from_words(line: &[OsString]) -> Result<Self, clap::Error> {
        let mut options = Self::try_parse_from(line)?;
        if let Some(Verb::Run(run)) = &mut options.verb {
            run.after_dashes = stands_behind_dashes(line, run.words.len());
        }
        Ok(options)
    }
}

impl RunOptions {
    /// The command: exactly one word without `--` before it is for the shell, anything else is an argv.
    pub(crate) fn words(&self) -> Words<'_> {
        match self.words.split_first() {
            Some((only, [])) if !self.after_dashes => Words::Shell(only),
            Some((program, arguments)) => Words::Argv(program, arguments),
            // clap demands a word; an empty argv is refused before it is sent.
            None => Words::Argv(OsStr::new(""), &[]),
        }
    }
}

/// Whether the last `count` words of the line come right after a `--`. No option takes `--` as its value, so a
/// `--` in that place is the one that ended the options.
fn stands_behind_dashes(line: &[OsString], count: usize) -> bool {
    let before = line.len().checked_sub(count + 1);
    before.and_then(|before| line.get(before)).is_some_and(|word| word == "--")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Options, clap::Error> {
        let line: Vec<_> = ["client"].iter().chain(line).map(OsString::from).collect();
        Options::parse_from_words(&line)
    }

    fn run(line: &[&str]) -> RunOptions {
        let words: Vec<_> = ["run"].iter().chain(line).copied().collect();
        match parse(&words).unwrap().verb {
            Some(Verb::Run(run)) => run,
            other => panic!("{other:?}"),
        }
    }

    /// What `line` means: `sh:` and the string, or `argv:` and the words in brackets.
    fn meaning(line: &[&str]) -> String {
        match run(line).words() {
            Words::Shell(text) => format!("sh:{}", text.display()),
            Words::Argv(program, arguments) => {
                let words = std::iter::once(program).chain(arguments.iter().map(OsString::as_os_str));
                words.fold("argv:".to_owned(), |text, word| format!("{text}[{}]", word.display()))
            }
        }
    }

    #[test]
    fn one_word_is_a_shell_string() {
        assert_eq!(meaning(&["ls -l | wc"]), "sh:ls -l | wc");
        assert_eq!(meaning(&["-n", "ls"]), "sh:ls");
        assert_eq!(meaning(&["-e", "A=B", "ls"]), "sh:ls");
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
    fn an_option_takes_no_dashes_as_its_value() {
        for option in ["-e", "--env", "--cwd", "--env-file", "--stdin", "--timeout", "--id"] {
            assert!(parse(&["run", option, "--", "ls"]).is_err(), "{option}");
        }
    }

    #[test]
    fn a_misspelt_option_is_no_command() {
        assert!(parse(&["run", "--timeot", "3s", "ls"]).is_err());
        assert!(parse(&["run", "-x", "ls"]).is_err());
        assert!(parse(&["run"]).is_err());
        assert!(parse(&["run", "--"]).is_err());
        assert!(parse(&["rum", "ls"]).is_err());
    }

    #[test]
    fn the_server_can_be_named_before_and_after_the_verb() {
        assert_eq!(parse(&["-H", "db1", "run", "ls"]).unwrap().host.as_deref(), Some("db1"));
        assert_eq!(parse(&["run", "-H", "db1", "ls"]).unwrap().host.as_deref(), Some("db1"));
        assert!(parse(&["--embedded", "ping"]).unwrap().embedded);
        assert!(parse(&["--embedded", "-H", "db1", "ping"]).is_err());
    }

    #[test]
    fn no_verb_is_the_repl() {
        assert!(parse(&[]).unwrap().verb.is_none());
        assert!(parse(&["--version"]).unwrap().version);
    }

    #[test]
    fn ping_counts_from_one() {
        assert!(parse(&["ping", "-c", "0"]).is_err());
        let Some(Verb::Ping(ping)) = parse(&["ping", "-c", "3", "-i", "0.2"]).unwrap().verb else { panic!() };
        assert_eq!((ping.count, ping.interval), (3, Duration::from_millis(200)));
    }
}
