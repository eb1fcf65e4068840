//! From the options of `run` to the library's [`Command`].

use std::env;
use std::ffi::OsString;

use common::job::ResourceLimits;

use crate::cli::args::{RunOptions, Words};
use crate::cli::environment;
use crate::cli::failure::Failure;
use crate::cli::input::Input;
use crate::{Client, Command};

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

/// What the command reads.
///
/// # Errors
/// [`Failure::StdinFile`].
pub(super) fn input(run: &RunOptions) -> Result<Input, Failure> {
    match &run.stdin {
        Some(path) => Input::open(path),
        None if run.no_stdin || run.detach => Ok(Input::Nothing),
        None => Input::own(),
    }
}

/// The command itself.
pub(super) fn command<'a>(
    client: &'a Client,
    run: &RunOptions,
    variables: Vec<(OsString, OsString)>,
    input: &Input,
) -> Command<'a> {
    let mut command = match &run.words {
        Words::Shell(text) => client.shell(text),
        Words::Argv { program, .. } => client.command(program),
    };
    if let Words::Argv { arguments, .. } = &run.words {
        command.args(arguments);
    }
    for (name, value) in variables {
        command.env(name, value);
    }
    command.stdin(input.mode()).merge_output(run.merge).wait_output(run.wait_output);
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
