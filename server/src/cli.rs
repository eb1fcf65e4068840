//! The program `server`: arguments, signals, sentences, exit codes. The only place that prints.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use common::config::Places;
use common::endpoint::Endpoint;
use common::transport::Transport;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::fs::Mode;
use rustix::net::{AddressFamily, getsockname};
use rustix::process::umask;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::authorize::Peer;
use crate::config::Config;
use crate::error::StartError;
use crate::logging::{self, LogFormat, LogLevel};
use crate::process::keep_children;
use crate::server::{Server, serve_one};

/// Exit codes, as in sysexits(3).
const EX_UNAVAILABLE: u8 = 69;
const EX_SOFTWARE: u8 = 70;
const EX_CONFIG: u8 = 78;

/// File mode mask of every command; that of the server's own files is stricter by their own modes.
const UMASK: Mode = Mode::from_raw_mode(0o022);

/// Runs commands for the clients that connect, and tells them the truth about what happened.
#[derive(Debug, Parser)]
#[command(version = version())]
struct Arguments {
    /// Address to listen on: host:port, [v6]:port or unix:/path; repeatable. Loopback only.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "inetd")]
    listen: Vec<Endpoint>,
    /// Serve the one connection that is stdin, and end with it.
    #[arg(long)]
    inetd: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// How much is logged.
    #[arg(long, value_enum, default_value_t)]
    log_level: LogLevel,
}

/// The version, with the commit that a release is built from.
fn version() -> String {
    let number = env!("CARGO_PKG_VERSION");
    option_env!("TELEX_COMMIT").map_or_else(|| number.to_owned(), |commit| format!("{number} ({commit})"))
}

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start(arguments.log_format, arguments.log_level);
    let result = if arguments.inetd {
        on(&mut runtime::Builder::new_current_thread(), serve_stdin())
    } else {
        on(&mut runtime::Builder::new_multi_thread(), listen(arguments.listen))
    };
    ExitCode::from(exit_code(result))
}

/// Serves the connection that is stdin, for a parent process that has made it; errors go to stderr. The exit code.
///
/// To be called from inside a runtime, and once: it changes the process's signal actions and its umask.
pub async fn inetd() -> u8 {
    logging::start(LogFormat::Text, LogLevel::Error);
    exit_code(serve_stdin().await)
}

fn on(
    builder: &mut runtime::Builder,
    work: impl Future<Output = Result<(), StartError>>,
) -> Result<(), StartError> {
    builder.on_thread_start(|| {
        // Signals are the main thread's, which is the one that installs handlers.
        stop_signals().thread_block().ok();
    });
    builder.enable_all().build()?.block_on(work)
}

async fn listen(endpoints: Vec<Endpoint>) -> Result<(), StartError> {
    let places = Places::new(|name| std::env::var_os(name))?;
    let config = Config { listen: endpoints, ..Config::defaults(&places) };
    keep_children();
    let stop = stop_signal()?;
    let server = Server::bind(&config).await?;
    umask(UMASK);
    announce(&server.endpoints()?)?;
    server.run(stop).await;
    Ok(())
}

async fn serve_stdin() -> Result<(), StartError> {
    keep_children();
    let stop = stop_signal()?;
    let (transport, peer) = stdin_connection().map_err(StartError::NoConnection)?;
    umask(UMASK);
    serve_one(transport, peer, stop).await;
    Ok(())
}

/// Takes the connection off descriptor 0.
fn stdin_connection() -> io::Result<(Transport, Peer)> {
    let descriptor: OwnedFd = rustix::stdio::stdin().try_clone_to_owned()?;
    if getsockname(descriptor.as_fd())?.address_family() == AddressFamily::UNIX {
        let stream = std::os::unix::net::UnixStream::from(descriptor);
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        let uid = stream.peer_cred()?.uid();
        return Ok((Transport::Unix(stream), Peer::Unix { uid }));
    }
    let stream = std::net::TcpStream::from(descriptor);
    stream.set_nonblocking(true)?;
    let peer = Peer::Tcp(stream.peer_addr()?);
    Ok((Transport::tcp(TcpStream::from_std(stream)?)?, peer))
}

/// Ready when SIGTERM, SIGINT or SIGHUP comes; all are caught from now on. A hang-up that the parent has set to be
/// ignored (nohup(1)) stays ignored.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    // A signal that came between a handler and its registration would be lost.
    let before = stop_signals().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hang_up = if is_hang_up_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    before.thread_set_mask()?;
    Ok(async move {
        let hang_up = async {
            match &mut hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up => {}
        }
    })
}

fn stop_signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect()
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

/// The exit code of a server that ended so, and on stderr the reason if there is one.
fn exit_code(result: Result<(), StartError>) -> u8 {
    let Err(error) = result else { return 0 };
    let (code, advice) = match &error {
        StartError::NotLoopback { .. } => (
            EX_CONFIG,
            "; it would let anyone who reaches it run commands, so use 127.0.0.1, [::1] or unix:/path".into(),
        ),
        StartError::NotPrivate { .. } => {
            (EX_CONFIG, "; give the socket a directory of its own, with mode 0700".to_owned())
        }
        StartError::NoSocketPlace => (EX_CONFIG, "; set one of them, or pass --listen".into()),
        StartError::InUse { .. } => {
            (EX_UNAVAILABLE, "; stop the server that has it, or pass --listen".into())
        }
        StartError::Listen { .. } => (EX_UNAVAILABLE, "; pass another address with --listen".into()),
        StartError::NoConnection(_) => {
            (EX_CONFIG, "; --inetd is for a parent that passes a socket".to_owned())
        }
        StartError::Config(_) => (EX_CONFIG, String::new()),
        StartError::Io(_) => (EX_SOFTWARE, String::new()),
    };
    eprintln!("{}: {error}{advice}", program_name());
    code
}

fn program_name() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    Path::new(&name).file_name().map_or_else(|| "server".into(), |name| name.to_string_lossy().into_owned())
}
