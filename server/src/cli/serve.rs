//! The server itself: its runtime, its signals, and what it says when it is ready.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use common::config::Places;
use common::endpoint::Endpoint;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, getsockname};
use rustix::process::umask;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime;
use tokio::signal::unix::{self, SignalKind, signal};
use tracing::{error, info};

use super::arguments::Arguments;
use super::report;
use crate::config::Config;
use crate::error::StartError;
use crate::listener::Accepted;
use crate::logging::{self, LogFormat, LogLevel};
use crate::process::keep_children;
use crate::server::{Server, Settings, serve_one};

/// File mode mask of every command; that of the server's own files is stricter by their own modes.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Serves as the command line says.
pub(super) fn serve(arguments: Arguments) -> Result<(), StartError> {
    let config = load(&arguments)?;
    let _log = logging::start(config.log.format, config.log.level);
    if arguments.inetd {
        on(&mut runtime::Builder::new_current_thread(), serve_stdin(|| Ok(config)))
    } else {
        on(&mut runtime::Builder::new_multi_thread(), listen(arguments, config))
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

async fn listen(arguments: Arguments, config: Config) -> Result<(), StartError> {
    keep_children();
    let mut signals = Signals::install()?;
    let server = Server::bind(config).await?;
    umask(UMASK);
    announce(&server.endpoints()?)?;
    let settings = server.settings();
    let stop = async {
        while signals.next().await == Received::Reload {
            reload(&arguments, &settings);
        }
    };
    server.run(stop).await;
    Ok(())
}

/// Reads the settings again; those that hold stay if the new ones cannot be used.
fn reload(arguments: &Arguments, settings: &Settings) {
    match load(arguments).and_then(|config| settings.change(config)) {
        Ok(()) => info!("settings read again"),
        Err(error) => error!(%error, advice = report::advice(&error), "settings stay as they were"),
    }
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
    serve_one(config, accepted, async { while signals.next().await == Received::Reload {} }).await
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

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Received {
    /// To end.
    Stop,
    /// To read the settings again.
    Reload,
}

/// SIGTERM and SIGINT stop the server. SIGHUP has it read its settings again, unless it comes of the end of the terminal
/// that the server was started on; then it stops the server, too, as it does any program (but not under nohup(1)).
#[derive(Debug)]
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
    /// Whether it has a terminal whose end would concern it.
    terminal: bool,
}

impl Signals {
    /// Catches them from now on.
    fn install() -> io::Result<Self> {
        let terminal = !is_hang_up_ignored() && has_terminal();
        // A signal that came between a handler and its registration would be lost.
        let before = handled_signals().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            terminal,
        };
        before.thread_set_mask()?;
        Ok(signals)
    }

    async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received::Stop,
            _ = self.interrupt.recv() => Received::Stop,
            _ = self.hang_up.recv() => {
                if self.terminal && is_terminal_gone() { Received::Stop } else { Received::Reload }
            }
        }
    }
}

fn handled_signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect()
}

/// Whether this process has a controlling terminal that is still there.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether it has none any more (tty(4)). That it cannot be opened for another reason, such as no descriptors, says
/// nothing.
fn is_terminal_gone() -> bool {
    let gone = io::Error::from(Errno::NXIO).raw_os_error();
    std::fs::File::open("/dev/tty").is_err_and(|error| error.raw_os_error() == gone)
}

/// Whether this process was started with SIGHUP ignored: bit 0 of `SigIgn` (proc_pid_status(5)).
fn is_hang_up_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
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
