//! The server itself: its runtime, its signals, and what it says when it is ready.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use common::config::Places;
use common::endpoint::Endpoint;
use rustix::fs::Mode;
use rustix::net::{AddressFamily, getsockname};
use rustix::process::umask;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime;
use tokio::time::{self, MissedTickBehavior};
use tracing::{error, info};

use super::arguments::Arguments;
use super::report;
use super::signals::{Received, Signals, handled_signals};
use crate::config::Config;
use crate::error::StartError;
use crate::inherited::Inherited;
use crate::listener::{Accepted, Adopted, Listener};
use crate::logging::{self, LogFormat, LogLevel};
use crate::process::keep_children;
use crate::server::{Server, Settings, serve_one};
use crate::service_manager::{Notifier, passed, watchdog};

/// File mode mask of every command; that of the server's own files is stricter by their own modes.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Set where a service manager keeps descriptors from one start of a service to the next.
const FDSTORE: &str = "FDSTORE";

/// Serves as the command line says.
pub(super) fn serve(arguments: Arguments) -> Result<(), StartError> {
    // Before anything is opened: what was passed on is told by its numbers.
    let adopted = if arguments.inetd { Vec::new() } else { adopt()? };
    let config = load(&arguments)?;
    let _log = logging::start(config.log.format, config.log.level);
    if arguments.inetd {
        on(&mut runtime::Builder::new_current_thread(), serve_stdin(|| Ok(config)))
    } else {
        on(&mut runtime::Builder::new_multi_thread(), listen(arguments, config, adopted))
    }
}

/// The listeners that this process was started with.
fn adopt() -> Result<Vec<Adopted>, StartError> {
    match Inherited::at_start() {
        Some(mut inherited) => passed(&mut inherited, variable),
        None => Ok(Vec::new()),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
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

async fn listen(arguments: Arguments, config: Config, adopted: Vec<Adopted>) -> Result<(), StartError> {
    keep_children();
    let mut signals = Signals::install()?;
    let manager = Notifier::from_environment();
    let stored: Vec<String> = adopted.iter().filter_map(|adopted| adopted.origin().stored_name()).collect();
    let mut server = Server::open(config, adopted).await?;
    umask(UMASK);
    if variable(FDSTORE).is_some() {
        store(&manager, &stored, server.listeners());
    }
    let endpoints = server.endpoints()?;
    announce(&endpoints)?;
    let running = server.start();
    let serving =
        format!("listening on {}", endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    manager.ready(&serving);
    tokio::spawn(keep_telling(manager.clone(), running.settings()));
    while signals.next().await == Received::Reload {
        manager.reloading("reading the settings again");
        let kept = reload(&arguments, &running.settings());
        manager.ready(
            &kept.map_or_else(|reason| format!("settings stay as they were: {reason}"), |()| serving.clone()),
        );
    }
    manager.stopping();
    running.stop().await;
    Ok(())
}

/// Has the service manager keep the listeners over a restart, in place of those that it has kept until now.
fn store(manager: &Notifier, stored: &[String], listeners: &mut [Listener]) {
    for name in stored {
        manager.remove(name);
    }
    for listener in listeners {
        let Some(name) = listener.origin.stored_name() else { continue };
        if manager.store(listener.descriptors().0, &name) {
            listener.outlives_us();
        }
    }
}

/// Tells the service manager that the server is not stuck, if it wants to know; for ever.
async fn keep_telling(manager: Notifier, settings: Settings) {
    let Some(interval) = watchdog(std::process::id(), variable) else { return };
    let mut ticks = time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        settings.pulse();
        manager.alive();
    }
}

/// Reads the settings again; those that hold stay if the new ones cannot be used.
///
/// # Errors
/// Why not, for people.
fn reload(arguments: &Arguments, settings: &Settings) -> Result<(), String> {
    match load(arguments).and_then(|config| settings.change(config)) {
        Ok(()) => info!("settings read again"),
        Err(error) => {
            error!(%error, advice = report::advice(&error), "settings stay as they were");
            return Err(error.to_string());
        }
    }
    Ok(())
}

async fn serve_stdin(config: impl FnOnce() -> Result<Config, StartError>) -> Result<(), StartError> {
    keep_children();
    let mut signals = Signals::install()?;
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

/// Says where it listens, one line each, for people and for scripts that asked for port 0.
fn announce(endpoints: &[Endpoint]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for endpoint in endpoints {
        info!(%endpoint, "listening");
        // Nobody has to listen to this; the log has it, too.
        writeln!(stdout, "listening on {endpoint}").ok();
    }
    stdout.flush().or(Ok(()))
}
