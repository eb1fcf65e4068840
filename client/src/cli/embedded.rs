//! A private server for the length of a call.
//!
//! It is a process of its own, this program once more, so that it outlives a `kill -9` of this one for as long as it
//! takes to end the job. It never listens: both ends of the connection are made here, and it is handed its own.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use common::endpoint::{Endpoint, Target};
use common::transport::Transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::task;

use super::failure::Failure;
use super::report::Reporter;
use crate::Client;

/// How long the server may take to end once its connection has: its job is over by then, or being killed.
const END: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// The server's process.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    /// Starts one, from inside the runtime. The client that is connected to it.
    ///
    /// # Errors
    /// [`Failure::Embedded`].
    pub(crate) fn start(program: &str) -> Result<(Client, Self), Failure> {
        start(program).map_err(Failure::Embedded)
    }

    /// Waits for its end once the connection is closed. A job that does not want to die may take longer than we
    /// wait; the server then ends it, and itself, without us.
    pub(crate) async fn wait(mut self) {
        // The tasks that hold the connection go when the runtime gets to them. After that, there is nothing here
        // that this thread could do meanwhile.
        task::yield_now().await;
        if let Ok(process) = pidfd_open(Pid::from_child(&self.0), PidfdFlags::empty()) {
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&END)).ok();
        }
        self.0.try_wait().ok();
    }
}

fn start(program: &str) -> io::Result<(Client, Server)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let transport = Transport::Unix(tokio::net::UnixStream::from_std(ours)?);
    let server = Server(spawn(program, theirs)?);
    let endpoint = Endpoint::Unix("embedded".into());
    Ok((Client::over(transport, &Target::from(endpoint)), server))
}

/// What the server's process runs.
pub(crate) async fn serve(_reporter: &Reporter) -> u8 {
    server::cli::inetd().await
}

/// Starts this program again, with `connection` as its stdin. In a process group of its own, so that Ctrl-C in the
/// terminal is ours to pass on.
fn spawn(program: &str, connection: UnixStream) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg0(program)
        .arg("embedded-server")
        .stdin(OwnedFd::from(connection))
        .stdout(Stdio::null())
        // It may outlive this program, and whoever reads our stderr must not have to wait for it.
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}
