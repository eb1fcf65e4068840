//! The server itself: what it starts with, its runtime, and what it says when it is ready.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use common::config::Places;
use common::endpoint::Endpoint;
use rustix::fs::Mode;
use rustix::net::{AddressFamily, getsockname};
use rustix::process::umask;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime;
use tracing::info;

use super::arguments::{Arguments, version};
use super::manager::Manager;
use super::report;
use super::serving::Serving;
use super::signals::{Received, Signals, handled_signals};
use crate::config::Config;
use crate::error::StartError;
use crate::handover::{self, HandedJobs, Program, Received as ReceivedHandover, Record};
use crate::inherited::Inherited;
use crate::listener::{Accepted, Adopted};
use crate::logging::{self, Log, LogFormat, LogLevel};
use crate::presence::PresenceFile;
use crate::process::own_process;
use crate::server::{Server, serve_one};
use crate::service_manager::passed;

/// File mode mask of every command; that of the server's own files is stricter by their own modes.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Serves as the command line says.
pub(super) fn serve(arguments: Arguments) -> Result<(), StartError> {
    // Before anything is opened: what was passed on is told by its numbers.
    let given = if arguments.inetd { Passed::default() } else { Passed::receive()? };
    let config = load(&arguments)?;
    let log = logging::start(config.log.format, config.log.level);
    if arguments.inetd {
        on(&mut runtime::Builder::new_current_thread(), serve_stdin(|| Ok(config)))
    } else {
        on(&mut runtime::Builder::new_multi_thread(), listen(arguments, config, given, &log))
    }
}

/// What this program was started with.
#[derive(Debug, Default)]
struct Passed {
    listeners: Vec<Adopted>,
    jobs: HandedJobs,
    /// By the program before it in this process, if there was one.
    before: Option<Record>,
}

impl Passed {
    fn receive() -> Result<Self, StartError> {
        let Some(mut inherited) = Inherited::at_start() else { return Ok(Self::default()) };
        if let Some(ReceivedHandover { record, listeners, jobs }) =
            handover::receive(&mut inherited, variable)?
        {
            return Ok(Self { listeners, jobs, before: Some(record) });
        }
        Ok(Self { listeners: passed(&mut inherited, variable)?, ..Self::default() })
    }
}

/// Serves the connection that is stdin, for a parent process that has made it; errors go to stderr. The exit code.
///
/// Settings and keys are read only if the connection is one over TCP. To be called from inside a runtime, and once: it
/// changes the process's signal actions and its umask.
pub async fn inetd() -> u8 {
    let _log = logging::start(LogFormat::Text, LogLevel::Error);
    report::exit_code(serve_stdin(|| Ok(Config::load(None, &Places::of_user()?)?)).await)
}

/// The settings in the file, and over them those of the command line.
///
/// # Errors
/// [`StartError::Config`].
pub(super) fn load(arguments: &Arguments) -> Result<Config, StartError> {
    let mut config = Config::load(arguments.config.as_deref(), &Places::of_user()?)?;
    if !arguments.listen.is_empty() {
        config.listen.clone_from(&arguments.listen);
    }
    config.log.format = arguments.log_format.unwrap_or(config.log.format);
    config.log.level = arguments.log_level.unwrap_or(config.log.level);
    Ok(config)
}

fn on(
    builder: &mut runtime::Builder,
    work: impl Future<Output = Result<(), StartError>>,
) -> Result<(), StartError> {
    builder.on_thread_start(|| {
        // Signals are the main thread's, which is the one that installs handlers.
        handled_signals().thread_block().ok();
    });
    builder.enable_all().build()?.block_on(work)
}

async fn listen(arguments: Arguments, config: Config, given: Passed, log: &Log) -> Result<(), StartError> {
    own_process();
    let Passed { listeners, jobs, before } = given;
    let signals = Signals::install(before.as_ref().map(|record| record.ends_with_terminal))?;
    let program = before.as_ref().map_or_else(Program::of_this_process, Program::of);
    let upgrades = before.as_ref().map_or(0, |record| record.upgrades);
    let known: Vec<Endpoint> = listeners.iter().map(|listener| listener.endpoint().clone()).collect();
    let stored = listeners.iter().filter_map(|listener| listener.origin().stored_name()).collect();
    let state_directory = config.paths.state_directory.clone();
    let mut server = Server::open(config, listeners, jobs).await?;
    umask(UMASK);
    let manager = Manager::new(stored, server.listeners());
    let endpoints = server.endpoints()?;
    // Those who started the program before this one know where it listens.
    let is_known = |endpoint: &Endpoint| before.is_some() && known.contains(endpoint);
    let listening = endpoints.iter().map(ToString::to_string).collect();
    let presence = announce_presence(&state_directory, listening, upgrades);
    announce(&endpoints, is_known)?;
    let running = server.start();
    let serving = Serving { arguments, signals, running, manager, presence, program, upgrades, log };
    serving.serve(&endpoints).await;
    Ok(())
}

/// Has `server upgrade` find this server.
fn announce_presence(state_directory: &Path, listening: Vec<String>, upgrades: u32) -> Option<PresenceFile> {
    let presence = PresenceFile::new(state_directory, version(), listening, upgrades);
    if let Err(error) = &presence {
        info!(%error, "`server upgrade` will not find this server");
    }
    presence.ok()
}

pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn serve_stdin(config: impl FnOnce() -> Result<Config, StartError>) -> Result<(), StartError> {
    own_process();
    let mut signals = Signals::install(None)?;
    let accepted = stdin_connection().map_err(StartError::NoConnection)?;
    let config = match &accepted {
        Accepted::Unix(..) => Config::without_files(),
        Accepted::Tcp(..) => config()?,
    };
    umask(UMASK);
    serve_one(config, accepted, async { while signals.next().await != Received::Stop {} }).await
}

/// Takes the connection off descriptor 0.
fn stdin_connection() -> io::Result<Accepted> {
    let descriptor: OwnedFd = rustix::stdio::stdin().try_clone_to_owned()?;
    if getsockname(descriptor.as_fd())?.address_family() == AddressFamily::UNIX {
        let stream = std::os::unix::net::UnixStream::from(descriptor);
        stream.set_nonblocking(true)?;
        return Accepted::unix(UnixStream::from_std(stream)?);
    }
    let stream = std::net::TcpStream::from(descriptor);
    stream.set_nonblocking(true)?;
    let address = stream.peer_addr()?;
    Ok(Accepted::Tcp(TcpStream::from_std(stream)?, address))
}

/// Says where it listens, one line each, for people and for scripts that asked for port 0; not where that `is_known`.
fn announce(endpoints: &[Endpoint], is_known: impl Fn(&Endpoint) -> bool) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for endpoint in endpoints {
        info!(%endpoint, "listening");
        if !is_known(endpoint) {
            // Nobody has to listen to this; the log has it, too.
            writeln!(stdout, "listening on {endpoint}").ok();
        }
    }
    stdout.flush().or(Ok(()))
}
