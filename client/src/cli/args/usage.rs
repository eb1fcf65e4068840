//! What can be wrong with a command line: the user's fault, in one sentence each, with what to do next.

use std::ffi::OsStr;

use common::invitation::InvitationError;
use common::suggestion::nearest;
use thiserror::Error;

use super::page::Page;

/// The verbs that people type.
const VERBS: [&str; 13] = [
    "run", "shell", "jobs", "attach", "logs", "wait", "signal", "forget", "ping", "repl", "key", "join",
    "help",
];

/// What to do about an invitation that is none, wherever it was read.
pub(crate) const INVITATION_ADVICE: &str = "copy the whole line that `server invite` has printed";

/// Why a command line cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum UsageError {
    /// There is no such option.
    #[error("unknown option {option}{}; see `{}`", suggestion(option, page.options()), page.command())]
    UnknownOption {
        /// With its dashes.
        option: String,
        /// Where it stood.
        page: Page,
    },
    /// An option of other verbs.
    #[error("{option} does nothing here: no server is chosen; see `{}`", page.command())]
    IdleOption {
        /// With its dashes.
        option: &'static str,
        /// Of the verb.
        page: Page,
    },
    /// There is no such verb.
    #[error("unknown command {}{}; to run something on a server: client run \"…\"; see `client --help`", shown(word), suggestion(word, VERBS.into_iter()))]
    UnknownVerb {
        /// What stood there.
        word: String,
    },
    /// An option that needs a value has none.
    #[error("{option} needs a value (one that begins with a dash goes behind =); see `{}`", page.command())]
    NoValue {
        /// With its dashes.
        option: String,
        /// Where it stood.
        page: Page,
    },
    /// An option that takes no value has one.
    #[error("{option} takes no value; see `{}`", page.command())]
    UnwantedValue {
        /// With its dashes.
        option: String,
        /// Where it stood.
        page: Page,
    },
    /// A value that makes no sense.
    #[error("{option} {}: {why}", shown(value))]
    BadValue {
        /// With its dashes.
        option: String,
        /// What was given.
        value: String,
        /// What would make sense.
        why: String,
    },
    /// Two options that exclude each other.
    #[error("{0} and {1} exclude each other")]
    Conflict(&'static str, &'static str),
    /// A word that has no meaning there.
    #[error("unexpected {}; see `{}`", shown(word), page.command())]
    UnexpectedWord {
        /// The word.
        word: String,
        /// Where it stood.
        page: Page,
    },
    /// `run` without anything to run.
    #[error("nothing to run; write it behind the options: client run \"ls | wc\", client run -- ls -l")]
    NoCommand,
    /// `shell --`, and nothing.
    #[error(
        "nothing stands behind --: name a program that gets the terminal, or leave -- out for the login shell"
    )]
    NoProgram,
    /// A detached job with a file to read.
    #[error(
        "--detach and --stdin exclude each other for now: nobody would be there to send the file; copy it to the server, and redirect there: client run --detach \"command < file\""
    )]
    DetachedStdin,
    /// A verb about jobs without one.
    #[error("no job; write its id, or the beginning of it: client {0} ID; `client jobs` lists them")]
    NoJob(&'static str),
    /// A word that names no job.
    #[error("{}: {why}; `client jobs` lists those that there are", shown(word))]
    Job {
        /// The word.
        word: String,
        /// Why not.
        why: String,
    },
    /// A word that names no signal.
    #[error("no such signal: {}; write a name or a number: TERM, SIGINT, 9", shown(word))]
    Signal {
        /// The word.
        word: String,
    },
    /// A signal as `kill` takes it.
    #[error("{option}: the job comes first: client signal ID TERM; see `client signal --help`")]
    SignalFirst {
        /// What stood there.
        option: String,
    },
    /// `join` without an invitation.
    #[error("no invitation; write the line that `server invite` has printed: client join telex://…")]
    NoInvitation,
    /// A word that is no invitation. It is not repeated: most of it may be a secret.
    #[error("{0}; {INVITATION_ADVICE}")]
    Invitation(InvitationError),
    /// Anything else, in the words of the parser.
    #[error("{message}; see `{}`", page.command())]
    Other {
        /// Its words.
        message: String,
        /// Where it happened.
        page: Page,
    },
}

impl UsageError {
    pub(super) fn unknown_verb(word: &OsStr) -> Self {
        Self::UnknownVerb { word: word.to_string_lossy().into_owned() }
    }
}

/// `word` so that it is seen, too, if nothing is in it.
fn shown(word: &str) -> &str {
    if word.is_empty() { "\"\"" } else { word }
}

/// What may have been meant by `name`, in a form to be put behind it.
fn suggestion(name: &str, candidates: impl Iterator<Item = &'static str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |candidate| format!(" (did you mean {candidate}?)"))
}
