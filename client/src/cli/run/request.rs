//! From the options of `run` and `shell` to the library's [`Command`].

use std::env;
use std::ffi::OsString;

use common::job::{ResourceLimits, Terminal};

use crate::cli::args::{RunOptions, Tty, Words};
use crate::cli::environment;
use crate::cli::failure::Failure;
use crate::cli::input::Input;
use crate::cli::report::Reporter;
use crate::cli::terminal;
use crate::{Client, Command, Stdin};

/// The variables of the files and of `-e`, which win.
///
/// # Errors
/// [`Failure::EnvFile`] and [`Failure::EnvLine`].
pub(super) fn variables(run: &RunOptions) -> Result<Vec<(OsString, OsString)>, Failure> {
    let files =
        run.env_file.iter().map(|path| environment::read_file(path)).collect::<Result<Vec<_>, _>>()?;
    let assignments = files.into_iter().flatten().chain(run.env.iter().cloned());
    Ok(assignments.filter_map(|assignment| assignment.resolve(|name| env::var_os(name))).collect())
}

/// What a command reads that has a terminal, or none.
///
/// # Errors
/// [`Failure::StdinFile`].
pub(super) fn input(run: &RunOptions, on_terminal: bool) -> Result<Input, Failure> {
    match &run.stdin {
        Some(path) => Input::open(path),
        None if run.no_stdin => Ok(Input::Nothing),
        None if on_terminal => Input::own_keys(),
        None => Input::own(),
    }
}

/// What emulators say in it of their colours has no place in the name of a kind of terminal.
const COLOURS: &str = "COLORTERM";

/// The terminal that the command gets, if it gets one.
pub(super) fn terminal(run: &RunOptions, reporter: &Reporter) -> Option<Terminal> {
    let is_here = rustix::termios::isatty(rustix::stdio::stdin());
    match run.tty {
        Tty::No => return None,
        Tty::IfThere if !is_here => {
            reporter.remark("no terminal here: the command gets none (-tt gives it one)");
            return None;
        }
        Tty::IfThere | Tty::Always => {}
    }
    Some(terminal::here())
}

/// The command itself.
pub(super) fn command<'a>(
    client: &'a Client,
    run: &RunOptions,
    variables: Vec<(OsString, OsString)>,
    stdin: Stdin,
    terminal: Option<&Terminal>,
) -> Command<'a> {
    let mut command = match &run.words {
        Words::LoginShell => client.login_shell(),
        Words::Shell(text) => client.shell(text),
        Words::Argv { program, .. } => client.command(program),
    };
    if let Words::Argv { arguments, .. } = &run.words {
        command.args(arguments);
    }
    if let Some(terminal) = terminal {
        command.terminal(terminal.clone());
        // Before the user's own, which win.
        env::var_os(COLOURS).iter().for_each(|colours| {
            command.env(COLOURS, colours);
        });
    }
    for (name, value) in variables {
        command.env(name, value);
    }
    command.stdin(stdin).merge_output(run.merge).wait_output(run.wait_output);
    if let Some(directory) = &run.cwd {
        command.current_dir(directory);
    }
    if let Some(timeout) = run.timeout {
        command.timeout(timeout);
    }
    if let Some(grace) = run.grace {
        command.grace(grace);
    }
    if let Some(on_disconnect) = run.on_disconnect {
        command.on_disconnect(on_disconnect);
    }
    if let Some(id) = &run.id {
        command.id(id.clone());
    }
    if run.detach {
        command.detached();
    }
    if run.supervised() {
        command.supervised(true);
    }
    limit(&mut command, run.limits);
    command
}

fn limit(command: &mut Command<'_>, limits: ResourceLimits) {
    let ResourceLimits { memory, cpu_percent, processes, nice } = limits;
    if let Some(bytes) = memory {
        command.memory(bytes);
    }
    if let Some(percent) = cpu_percent {
        command.cpu_percent(percent);
    }
    if let Some(count) = processes {
        command.processes(count);
    }
    if let Some(nice) = nice {
        command.nice(nice);
    }
}
