//! A service manager, as far as a server hears of it: the socket on which it is told how the server is doing.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::wait::DEADLINE;

/// Where a server tells how it is doing (sd_notify(3)).
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    name: String,
}

/// One message of a server's.
#[derive(Debug)]
pub struct Said {
    /// Its lines.
    pub text: String,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Manager {
    /// One that listens at `path`.
    pub fn at(path: &Path) -> Self {
        Self::new(UnixDatagram::bind(path).unwrap(), path.to_str().unwrap().to_owned())
    }

    /// One with an abstract name.
    pub fn with_abstract_name() -> Self {
        let name = format!("telex-test-{:?}-{:?}", std::process::id(), std::thread::current().id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        Self::new(UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}"))
    }

    fn new(socket: UnixDatagram, name: String) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, name }
    }

    /// What a server is told of it, as `NOTIFY_SOCKET`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next message.
    pub fn hear(&self) -> Said {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(&self.socket, &mut buffer, &mut control, RecvFlags::CMSG_CLOEXEC);
        let count = received.expect("the server says nothing").bytes;
        let descriptors = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
            _ => Vec::new(),
        });
        let descriptors = descriptors.collect();
        Said { text: String::from_utf8(bytes[..count].to_vec()).unwrap(), descriptors }
    }

    /// Hears until a message has the line `line`; gives that message.
    pub fn hear_of(&self, line: &str) -> Said {
        loop {
            let said = self.hear();
            if said.text.lines().any(|found| found == line) {
                return said;
            }
        }
    }
}

impl Said {
    /// What stands behind `name=`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }
}
