//! The program `server`: arguments, sentences, exit codes. The only place that prints.
//!
//! - `arguments`: what the command line can say
//! - `serve`: the server itself; `serving`, `succession`: what it does when it is told to by `signals`
//! - `manager`: what it says of that to a service manager
//! - `upgrade`: telling it to become another program; `handover_check`: that program, asked before
//! - `keys`, `invite`: who may come in
//! - `check`: whether it would start
//! - `report`: what went wrong, and what to do

mod arguments;
mod check;
mod handover_check;
mod invite;
mod keys;
mod manager;
mod report;
mod serve;
mod serving;
mod signals;
mod succession;
mod upgrade;

use std::io::{self, Write};
use std::process::ExitCode;

use common::escape::escape;
use common::keys::Trust;
use rustix::fs::{OFlags, fcntl_getfl, fstat, makedev};

use self::arguments::{Arguments, Verb};
use crate::config::Config;
use crate::error::StartError;
use crate::host_key;
use crate::invitations::Invitations;
use crate::key_files::KeyFiles;
use crate::login::Door;
use crate::supervisor;

pub use self::serve::inetd;

/// The whole program.
pub fn main() -> ExitCode {
    // Before anything that takes time.
    if supervisor::is_wanted(std::env::args_os()) {
        return supervisor::main();
    }
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(instead) => return ExitCode::from(report::usage(&instead)),
    };
    let result = match &arguments.verb {
        None => serve::serve(arguments),
        Some(verb) => administer(verb, &arguments),
    };
    ExitCode::from(report::exit_code(result))
}

fn administer(verb: &Verb, arguments: &Arguments) -> Result<(), StartError> {
    let here = Here::new(arguments)?;
    match verb {
        Verb::Check => check::check(&here),
        Verb::HandoverCheck => handover_check::check(&here),
        Verb::Upgrade { pid } => upgrade::upgrade(&here, *pid),
        Verb::Key => keys::show_host_key(&here),
        Verb::Keys => keys::list(&here),
        Verb::Authorize { line } => keys::authorize(&here, line),
        Verb::Revoke { key } => keys::revoke(&here, key),
        Verb::Invite { ttl, options, address } => invite::invite(&here, *ttl, options, address.as_ref()),
    }
}

/// The files of the server that the command line means.
struct Here {
    config: Config,
    trust: Trust,
}

impl Here {
    fn new(arguments: &Arguments) -> Result<Self, StartError> {
        Ok(Self { config: serve::load(arguments)?, trust: Trust::current() })
    }

    fn door(&self) -> Door {
        Door::new(&self.config.paths, &self.trust)
    }

    fn keys(&self) -> KeyFiles {
        self.door().keys
    }

    fn invitations(&self) -> Invitations {
        self.door().invitations
    }

    fn host_key(&self) -> Result<common::keys::PublicKey, StartError> {
        Ok(host_key::load_or_make(&self.config.paths.host_key, &self.trust)?.public())
    }
}

/// Whether stdout was closed when the program started. The runtime has put `/dev/null` in its place then, open for both
/// directions; a shell's `> /dev/null` is open for writing alone.
fn is_stdout_closed() -> bool {
    let stdout = rustix::stdio::stdout();
    let is_null = fstat(stdout).is_ok_and(|stat| stat.st_rdev == makedev(1, 3));
    is_null && fcntl_getfl(stdout).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}

/// Prints a line on stdout, escaped: comments in files may have been written by others.
fn print(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", escape(line))
}
