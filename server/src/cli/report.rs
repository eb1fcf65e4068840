//! What went wrong, as the sentence that the operator reads: what failed, why, and what to do next; and the exit code.

use std::path::Path;

use clap::error::ContextKind;
use common::config::ConfigError;
use common::escape::escape;

use crate::error::StartError;
use crate::host_key::HostKeyError;
use crate::invitations::InvitationsError;
use crate::key_files::KeyRefusal;

/// Exit codes, as in sysexits(3).
const EX_UNAVAILABLE: u8 = 69;
const EX_SOFTWARE: u8 = 70;
const EX_CONFIG: u8 = 78;

/// The exit code of a program that ended so, and on stderr the reason if there is one.
pub(super) fn exit_code(result: Result<(), StartError>) -> u8 {
    let Err(error) = result else { return 0 };
    let advice = advice(&error).map(|advice| format!("; {advice}")).unwrap_or_default();
    eprintln!("{}", escape(&format!("{}: {error}{advice}", program_name())));
    code(&error)
}

/// Says what is wrong with the command line, in one line as everything else, or prints help or the version, if that is what
/// it asks for. The exit code.
pub(super) fn usage(instead: &clap::Error) -> u8 {
    if instead.use_stderr() {
        let program = program_name();
        eprintln!("{}", escape(&format!("{program}: {}; see `{program} --help`", what_is_wrong(instead))));
    } else {
        // Nobody is left to tell that stdout is gone.
        instead.print().ok();
    }
    u8::try_from(instead.exit_code()).unwrap_or(EX_SOFTWARE)
}

/// The first paragraph of what clap says, and what it takes to be meant; its advice and the usage behind that are in the
/// help as well.
fn what_is_wrong(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let paragraph = paragraph.strip_prefix("error: ").unwrap_or(paragraph);
    let words = paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let meant = kinds.into_iter().find_map(|kind| error.get(kind));
    words + &meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default()
}

fn code(error: &StartError) -> u8 {
    match error {
        StartError::InUse { .. } | StartError::Listen { .. } | StartError::NotUpgraded { .. } => {
            EX_UNAVAILABLE
        }
        StartError::Io(_) | StartError::Unseen(_) | StartError::Unsaid(_) => EX_SOFTWARE,
        _ => EX_CONFIG,
    }
}

/// What to do next.
pub(super) fn advice(error: &StartError) -> Option<String> {
    match error {
        StartError::NoKeys { .. } => Some(
            "let somebody in first, with `server authorize 'ssh-ed25519 …'` or `server invite`".to_owned(),
        ),
        StartError::NoInviteTo => Some("pass --address HOST:PORT".to_owned()),
        StartError::NoKeyLine(_) => {
            Some("pass the line that `client key` prints: ssh-ed25519 AAAA…".to_owned())
        }
        StartError::NoFingerprint(_) => Some("`server keys` lists them".to_owned()),
        StartError::Listed { .. } => Some("to change its options, edit that line".to_owned()),
        StartError::Revoked { path, .. } => {
            Some(format!("if that is to end, take its line out of {} first", path.display()))
        }
        StartError::NotPrivate { .. } => {
            Some("give the socket a directory of its own, with mode 0700".to_owned())
        }
        StartError::NoSocketPlace => Some("set one of them, or pass --listen".to_owned()),
        StartError::InUse { .. } => Some("stop the server that has it, or pass --listen".to_owned()),
        StartError::Listen { .. } => Some("pass another address with --listen".to_owned()),
        StartError::NoServer { .. } => Some("name its settings with --config, or send it SIGUSR2".to_owned()),
        StartError::Distrusted(error) => {
            let mended = error.advice().map(|advice| format!("{advice}, or ")).unwrap_or_default();
            Some(format!("{mended}send the server SIGUSR2"))
        }
        StartError::Servers(_) => Some("say which one with --pid".to_owned()),
        StartError::Passed { .. } => {
            Some("pass stream sockets that listen: ListenStream= with Accept=no".to_owned())
        }
        StartError::NoConnection(_) => Some("--inetd is for a parent that passes a socket".to_owned()),
        StartError::Keys(error)
        | StartError::Key(KeyRefusal::File(error))
        | StartError::HostKey(HostKeyError::File(error))
        | StartError::Config(ConfigError::File(error)) => error.advice(),
        StartError::Key(KeyRefusal::NoRevocations { path }) => {
            Some(format!("make it, empty if no key is revoked (touch {})", path.display()))
        }
        StartError::Key(KeyRefusal::UnreadableRevocations { .. }) => {
            Some("mend that line or take it out".to_owned())
        }
        StartError::Full { .. } => Some("take out lines that are not needed, then do it again".to_owned()),
        StartError::NotRevoked { reason, .. } => advice(reason),
        StartError::Invitations(error) => error.advice(),
        StartError::Expired => Some("name a time that is still to come, or leave it out".to_owned()),
        StartError::HostKey(HostKeyError::Key(path, _)) => {
            Some(format!("move {} away, and the next start makes a new key", path.display()))
        }
        _ => None,
    }
}

/// Says on stderr which files let nobody in, for commands that do their work all the same.
pub(super) fn warn_of(problems: &[InvitationsError]) {
    for problem in problems {
        eprintln!("{}", escape(&format!("{}: {}", program_name(), passed_over(problem))));
    }
}

/// A file that is no invitation, and what to do about it.
pub(super) fn passed_over(problem: &InvitationsError) -> String {
    let advice = problem.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{problem}; this file lets nobody in{advice}")
}

/// The name that people called this program by.
pub(super) fn program_name() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    Path::new(&name).file_name().map_or_else(|| "server".into(), |name| name.to_string_lossy().into_owned())
}
