//! Many terminals, opened and closed in every way there is: nothing of them is left of descriptors, terminals, processes and memory.
//!
//! The server has a file system of terminals of its own where it may, so that what others on this machine open is not counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::{Bytes, Client, Stdin};
use common::job::{Outcome, Terminal, WindowSize};
use rustix::process::Signal;
use tests::flood::direct_children;
use tests::{DEADLINE, Mark, TestServer, resident_bytes, supervisors, wait_until, within, zombie_children};

/// Terminals that are opened and closed, and before that, so that whatever is made once and kept is there.
const TERMINALS: usize = 500;
const FIRST: usize = 100;

/// How many there are at a time.
const AT_ONCE: usize = 25;

/// Jobs that are over which a server remembers (`server/src/job/registry.rs`), with what may be on its way.
const REMEMBERED: usize = 16 * 1024 + AT_ONCE;

/// How much the server may grow by 500 once it remembers as many as it ever does. Until then each costs it about 1 KiB for that, which
/// is what it seems to lose; what is left is what the allocator keeps in pieces.
const ALLOWED_GROWTH: u64 = 1 << 20;

/// A shell of the server's that sees no other terminals than its own, where it may.
const OWN_TERMINALS: &str = "unshare -m true 2> /dev/null && exec unshare -m sh -c '
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /dev/pts 2> /dev/null
    exec \"$@\"' sh \"$@\"";

/// What a server has at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd)]
struct Held {
    descriptors: usize,
    ends: usize,
    terminals: usize,
    children: usize,
    supervisors: usize,
    zombies: usize,
}

/// A server and its terminals.
struct Host {
    server: TestServer,
    /// The directory of its terminals, if those are its own.
    terminals: Option<File>,
    mark: Mark,
}

impl Host {
    fn start() -> Self {
        let server = TestServer::options().listen("127.0.0.1:0").patient().after(OWN_TERMINALS).start();
        let terminals = File::open(format!("/proc/{}/root/dev/pts", server.process_id())).unwrap();
        let is_own = terminals.metadata().unwrap().dev() != fs::metadata("/dev/pts").unwrap().dev();
        if !is_own {
            println!("terminals of others are not told apart here, and so not counted");
        }
        Self { server, terminals: is_own.then_some(terminals), mark: Mark::new() }
    }

    /// How many terminals there are, whoever holds them.
    fn terminals(&self) -> usize {
        let Some(directory) = &self.terminals else { return 0 };
        let names = fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd())).unwrap().flatten();
        names.filter(|entry| entry.file_name() != "ptmx").count()
    }

    fn held(&self) -> Held {
        let process = self.server.process_id();
        let links = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
        // One that was closed since the listing is none.
        let names = links.filter_map(|link| Some(fs::read_link(link.path()).ok()?.display().to_string()));
        // Some directories of cgroups are kept for the next jobs.
        let names: Vec<_> = names.filter(|name| !name.contains("/cgroup/")).collect();
        Held {
            descriptors: names.len(),
            ends: names.iter().filter(|name| name.starts_with("/dev/pt")).count(),
            terminals: self.terminals(),
            children: direct_children(process),
            supervisors: supervisors(&self.server.path("")).len(),
            zombies: zombie_children(process).len(),
        }
    }

    /// A program of the client's, killed as soon as its command has said that it runs.
    fn kill_a_client(&self, id: &str) {
        let mut command = self.server.client();
        command.args(["run", "-q", "-tt"]).args(self.mark.option());
        if !id.is_empty() {
            command.args(["--id", id]);
        }
        command.arg(CHATTY).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = command.spawn().unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(client.stdout.as_mut().unwrap(), &mut byte).unwrap();
        client.kill().unwrap();
        client.wait().unwrap();
    }

    /// Opens and closes one; the number says how.
    async fn open_and_close(&self, client: &Client, number: usize) {
        match number % 6 {
            0 => self.it_ends(client).await,
            1 => self.it_is_told_to_end(client).await,
            2 => self.it_is_dropped(client).await,
            3 => self.it_is_detached_and_forgotten(client).await,
            4 => tokio::task::block_in_place(|| self.kill_a_client("")),
            _ => self.it_never_starts(client).await,
        }
    }

    fn command<'a>(&self, client: &'a Client, line: &str) -> client::Command<'a> {
        let (name, value) = self.mark.variable();
        let mut command = client.shell(line);
        command.env(name, value).terminal(terminal());
        command
    }

    async fn it_ends(&self, client: &Client) {
        let output = self.command(client, "stty size; seq 300").output().await.unwrap();
        assert!(output.outcome.is_success(), "{output:?}");
        assert!(output.stdout.starts_with(b"20 70\r\n1\r\n") && output.stdout.ends_with(b"\n300\r\n"));
    }

    async fn it_is_told_to_end(&self, client: &Client) {
        let mut job =
            self.command(client, "exec sh -i").stdin(Stdin::Piped).env("ENV", "").spawn().await.unwrap();
        let stdin = job.stdin.take().unwrap();
        assert!(stdin.write(Bytes::from_static(b"exit 7\n")).await);
        while job.stdout.as_mut().unwrap().next().await.is_some() {}
        assert_eq!(job.wait().await.unwrap().outcome, Outcome::Exited(7));
    }

    async fn it_is_dropped(&self, client: &Client) {
        let mut job = self.command(client, CHATTY).stdin(Stdin::Piped).spawn().await.unwrap();
        job.stdout.as_mut().unwrap().next().await.unwrap();
        job.resize(WindowSize { rows: 40, columns: 100, width: 0, height: 0 }).unwrap();
    }

    async fn it_is_detached_and_forgotten(&self, client: &Client) {
        let mut job = self.command(client, CHATTY).detached().spawn().await.unwrap();
        job.stdout.as_mut().unwrap().next().await.unwrap();
        let id = job.detach().await.unwrap();
        let known = client.job(id);
        known.cancel().await.unwrap();
        known.wait().await.unwrap();
        known.forget().await.unwrap();
    }

    async fn it_never_starts(&self, client: &Client) {
        let mut command = client.command("/no/such/program");
        let output = command.terminal(terminal()).output().await.unwrap();
        assert!(output.start_failure().is_some(), "{output:?}");
    }

    /// Has so many jobs fail to start, so that the server remembers no others.
    async fn fill_memory(self: &Arc<Self>, count: usize) {
        let client = Arc::new(self.server.connect().await);
        let workers = (0..AT_ONCE).map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                for _ in 0..count.div_ceil(AT_ONCE) {
                    // As long as the others: those take its place.
                    let mut command = client.command("/no/such/program");
                    within("it fails", command.arg(CHATTY).output()).await.unwrap();
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
    }

    /// Opens and closes so many, some at a time, on a connection of their own.
    async fn open_and_close_many(self: &Arc<Self>, count: usize) {
        let client = Arc::new(self.server.connect().await);
        let next = Arc::new(AtomicUsize::new(0));
        let workers = (0..AT_ONCE).map(|_| {
            let (host, client, next) = (Arc::clone(self), Arc::clone(&client), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let what = format!("terminal {number} is closed");
                    within(&what, host.open_and_close(&client, number)).await;
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
    }
}

/// Says that it runs, and more, and has others on its terminal.
const CHATTY: &str = "trap '' HUP; echo here; sleep 1000 & setsid sleep 1000 & seq 1000; cat; wait";

fn terminal() -> Terminal {
    let size = WindowSize { rows: 20, columns: 70, width: 0, height: 0 };
    Terminal { name: "xterm".into(), size, modes: Vec::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 30)]
async fn nothing_is_left_of_five_hundred_terminals() {
    let host = Arc::new(Host::start());
    host.fill_memory(REMEMBERED).await;
    host.open_and_close_many(FIRST).await;
    host.mark.wait_until_gone();
    let process = host.server.process_id();
    wait_until("the first are gone", DEADLINE, || host.held().ends == 0 && host.held().children == 0);
    let (held, occupied) = (host.held(), resident_bytes(process));
    host.open_and_close_many(TERMINALS).await;
    host.mark.wait_until_gone();
    let begun = std::time::Instant::now();
    wait_until("nothing is left", DEADLINE, || {
        let now = host.held();
        if begun.elapsed() > DEADLINE / 2 {
            println!("{now:?}, before {held:?}");
        }
        now.descriptors <= held.descriptors
            && Held { descriptors: 0, ..now }
                == Held { descriptors: 0, ends: 0, terminals: 0, children: 0, supervisors: 0, zombies: 0 }
    });
    let grown = resident_bytes(process).saturating_sub(occupied);
    println!("{held:?}, {occupied} bytes, {grown} more");
    assert!(grown < ALLOWED_GROWTH, "the server has grown by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_when_the_server_stops() {
    let host = Host::start();
    let client = host.server.connect().await;
    let mut jobs = Vec::new();
    for _ in 0..AT_ONCE {
        let mut job = host.command(&client, CHATTY).stdin(Stdin::Piped).spawn().await.unwrap();
        within("it runs", job.stdout.as_mut().unwrap().next()).await.unwrap();
        jobs.push(job);
    }
    assert_eq!(host.held().ends, 2 * AT_ONCE, "one to read and one to write of each");
    assert!(host.terminals.is_none() || host.terminals() == AT_ONCE);
    let Host { mut server, terminals, mark } = host;
    assert!(terminals.is_none() || !mark.processes().is_empty());
    server.signal(Signal::TERM);
    server.wait();
    mark.wait_until_gone();
    let host = Host { server, terminals, mark };
    wait_until("no terminal is left", DEADLINE, || host.terminals() == 0);
    drop(jobs);
}
