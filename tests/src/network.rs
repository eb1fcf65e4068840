//! Two machines and a router between them, as network namespaces (network_namespaces(7)) that end with the test. What crosses the
//! router can be dropped without a word to either side, which a proxy cannot do: it answers for whom it stands.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The last byte of the router's address at each of its two ends.
const ROUTER: u8 = 1;

/// A server's machine and a client's, and what lies between them.
#[derive(Debug)]
pub struct Network {
    server: Place,
    client: Place,
    router: Place,
}

/// One machine.
#[derive(Debug)]
pub struct Place {
    /// Keeps the namespace; ends with its stdin, so at the latest with this process.
    holder: Child,
    subnet: u8,
}

impl Network {
    /// A network that carries everything; `None`, said on stderr, where none may be made (mostly for want of root).
    pub fn new() -> Option<Self> {
        let made = Self::make();
        if let Err(why) = &made {
            eprintln!("not run: no network namespaces can be had here: {why}");
        }
        made.ok()
    }

    fn make() -> Result<Self, String> {
        let [server, client, router] = [Place::new(1)?, Place::new(2)?, Place::new(0)?];
        for place in [&server, &client] {
            let (near, process) = (format!("side{}", place.subnet), place.holder.id());
            router.tool(&format!("ip link add {near} type veth peer name line netns {process}"))?;
            router.tool(&format!("ip address add {}/24 dev {near}", place.address(ROUTER)))?;
            router.tool(&format!("ip link set {near} up"))?;
            place.tool("ip link set lo up")?;
            place.tool("ip link set line up")?;
            place.move_to(2)?;
        }
        let network = Self { server, client, router };
        network.carries(true)?;
        Ok(network)
    }

    /// Where a server can be started.
    pub fn server(&self) -> &Place {
        &self.server
    }

    /// Where clients can be started.
    pub fn client(&self) -> &Place {
        &self.client
    }

    /// Drops whatever comes from now on. Neither side hears of it.
    pub fn cut(&self) {
        self.carries(false).unwrap();
    }

    /// Carries everything again.
    pub fn mend(&self) {
        self.carries(true).unwrap();
    }

    fn carries(&self, carries: bool) -> Result<(), String> {
        self.router.tool(&format!("echo {} > /proc/sys/net/ipv4/ip_forward", u8::from(carries)))
    }
}

impl Place {
    fn new(subnet: u8) -> Result<Self, String> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo ready; read line"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let mut said = String::new();
        let read = BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said);
        let place = Self { holder, subnet };
        if read.is_ok() && said == "ready\n" { Ok(place) } else { Err("unshare --net is refused".into()) }
    }

    /// One of its addresses.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet, host)
    }

    /// Takes its address away and gives it this one, as another network would.
    ///
    /// # Errors
    /// What the tools say.
    pub fn move_to(&self, host: u8) -> Result<(), String> {
        self.tool("ip address flush dev line")?;
        self.tool(&format!("ip address add {}/24 dev line", self.address(host)))?;
        self.tool(&format!("ip route add default via {}", self.address(ROUTER)))
    }

    /// Does `work` there, on a thread of its own: what it starts, listens on and connects is there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let inside = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap())
    }

    fn tool(&self, script: &str) -> Result<(), String> {
        let output = self.enter(|| Command::new("sh").args(["-c", script]).output());
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("{script}: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("sh: {error}")),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.holder.stdin = None;
        self.holder.wait().ok();
    }
}
