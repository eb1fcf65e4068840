//! A private server for the length of a call.
//!
//! It is a process of its own, this program once more, so that it outlives a `kill -9` of this one for as long as it
//! takes to end the job. It never listens: both ends of the connection are made here, and it is handed its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
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

/// Strangers that may come to the listener before our own connection does.
const STRANGERS: usize = 64;

/// How long the server may take to end once its connection has: its job is over by then, or being killed.
const END: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// The server's process.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    /// Starts one, from inside the runtime. The client that is connected to it, and the address it has for the
    /// length of the call.
    ///
    /// # Errors
    /// [`Failure::Embedded`].
    pub(crate) fn start(program: &str) -> Result<(Client, String, Self), Failure> {
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

fn start(program: &str) -> io::Result<(Client, String, Server)> {
    let (ours, theirs) = connected_pair()?;
    let address = ours.peer_addr()?;
    ours.set_nonblocking(true)?;
    let transport = Transport::tcp(tokio::net::TcpStream::from_std(ours)?)?;
    let server = Server(spawn(program, theirs)?);
    let endpoint = Endpoint::Tcp { host: address.ip().to_string(), port: address.port() };
    let client = Client::over(transport, &Target::from(endpoint));
    Ok((client, address.to_string(), server))
}

/// What the server's process runs.
pub(crate) async fn serve(_reporter: &Reporter) -> u8 {
    server::cli::inetd().await
}

/// Starts this program again, with `connection` as its stdin. In a process group of its own, so that Ctrl-C in the
/// terminal is ours to pass on.
fn spawn(program: &str, connection: TcpStream) -> io::Result<Child> {
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

/// Two ends of one TCP connection on this machine.
fn connected_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let ours = TcpStream::connect(listener.local_addr()?)?;
    let theirs = accept_from(&listener, ours.local_addr()?)?;
    Ok((ours, theirs))
}

/// The connection that comes from `peer`. Any program on this machine may have been faster, and is turned away.
fn accept_from(listener: &TcpListener, peer: SocketAddr) -> io::Result<TcpStream> {
    for _ in 0..STRANGERS {
        let (stream, address) = listener.accept()?;
        if address == peer {
            return Ok(stream);
        }
    }
    Err(io::Error::other("other programs keep connecting to its port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_turned_away() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stranger = TcpStream::connect(address).unwrap();
        let ours = TcpStream::connect(address).unwrap();
        let theirs = accept_from(&listener, ours.local_addr().unwrap()).unwrap();
        assert_eq!(theirs.peer_addr().unwrap(), ours.local_addr().unwrap());
        drop(stranger);
    }

    #[test]
    fn too_many_strangers_are_a_failure() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let strangers: Vec<_> = (0..STRANGERS).map(|_| TcpStream::connect(address).unwrap()).collect();
        let ours = TcpStream::connect(address).unwrap();
        assert!(accept_from(&listener, ours.local_addr().unwrap()).is_err());
        drop(strangers);
    }
}
