//! The real server, on a free port, for the length of a test.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use client::{Access, UnknownHosts};
use common::keys::PrivateKey;
use rustix::process::{Pid, Signal, kill_process};

use crate::keys::{client_key, host_key};
use crate::running::Ran;
use crate::sandbox::Sandbox;
use crate::terminal::Terminal;
use crate::wait::{DEADLINE, wait_until, within};

/// How long a server may take to stop before it is killed: what it promises, and a margin.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// What a shell does before it becomes a server that sees no cgroups, where it may.
pub const WITHOUT_CGROUPS: &str = "unshare -m true 2> /dev/null && exec unshare -m sh -c '
    while read -r _ _ _ _ point _ rest; do
        case \"$rest\" in *\" cgroup2 \"*) umount -l \"$point\" ;; esac
    done < /proc/self/mountinfo
    exec \"$@\"' sh \"$@\"";

/// How much of its log is shown when a test fails.
const SHOWN_LINES: usize = 40;

/// The real server in a [`Sandbox`] of its own. Stopped when dropped; its log is shown if the test has failed.
#[derive(Debug)]
pub struct TestServer {
    child: Child,
    environment: Vec<(String, String)>,
    addresses: Vec<String>,
    log: PathBuf,
    sandbox: Sandbox,
    terminal: Option<Terminal>,
}

/// How a [`TestServer`] is started.
#[derive(Debug)]
pub struct ServerOptions {
    sandbox: Sandbox,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    addresses: usize,
    prelude: String,
    program: Option<PathBuf>,
    stdin: Option<OwnedFd>,
    terminal: bool,
}

impl TestServer {
    /// A server on a free port of 127.0.0.1, which the clients in its sandbox know, and which lets them in.
    pub fn start() -> Self {
        Self::options().listen("127.0.0.1:0").start()
    }

    /// A server on a Unix socket, where nobody needs a key.
    pub fn start_local() -> Self {
        Self::options().listen("unix:DIR/own/server.sock").start()
    }

    /// A server to be described further; listens nowhere yet.
    pub fn options() -> ServerOptions {
        Self::options_in(Sandbox::with_keys())
    }

    /// The same with files of the test's own, or none.
    pub fn options_in(sandbox: Sandbox) -> ServerOptions {
        ServerOptions {
            sandbox,
            arguments: Vec::new(),
            environment: Vec::new(),
            addresses: 0,
            prelude: String::new(),
            program: None,
            stdin: None,
            terminal: false,
        }
    }

    /// The address that the server said first.
    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// All addresses, in the order in which the server said them.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The program `client`, told to use this server.
    pub fn client(&self) -> Command {
        let mut command = self.sandbox.client();
        command.args(["-H", self.address()]);
        command
    }

    /// The program `client`, not told where any server is.
    pub fn bare_client(&self) -> Command {
        self.sandbox.client()
    }

    /// A connection of the library's, inside this process: its home is the developer's, so nothing is read from there.
    pub async fn connect(&self) -> client::Client {
        self.connect_by(self.address()).await
    }

    /// The same, by way of a proxy at `address`.
    pub async fn connect_by(&self, address: &str) -> client::Client {
        let key = PrivateKey::from_openssh(client_key().to_openssh("").as_bytes(), None).unwrap();
        // A file that is there is read, with all directories above it looked at: here they are anybody's.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let known = format!("known_in_this_process.{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let access = Access::new(Arc::new(key), self.settings_path(&known))
            .unknown_hosts(UnknownHosts::Expect(host_key().public().fingerprint()));
        let target = address.parse().unwrap();
        within("the client connects", client::Client::connect_with(&target, &access)).await.unwrap()
    }

    /// Runs `client run ARGUMENTS` to its end, without input.
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        Ran::of(self.client().arg("run").args(arguments))
    }

    /// Runs `client run ARGUMENTS` to its end with `input` on its stdin.
    #[track_caller]
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &[u8],
    ) -> Ran {
        Ran::with_input(self.client().arg("run").args(arguments), input)
    }

    /// A shell script in which `$CLIENT` finds this server by itself.
    pub fn script(&self, shell: &str, script: &str) -> Command {
        let mut command = self.sandbox.script(shell, script);
        command.env("TELEX_HOST", self.address());
        command
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Takes its terminal away, if it has one.
    pub fn hang_up(&mut self) {
        self.terminal = None;
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, which something else must have caused.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the server ends", DEADLINE, || !self.is_alive());
        self.child.wait().unwrap()
    }

    /// Ends it with `signal`, and starts another one in its place: see [`TestServer::start_again`].
    #[track_caller]
    pub fn replace(&mut self, signal: Signal) {
        self.replace_after(signal, || {});
    }

    /// The same, with something that happens while there is none.
    #[track_caller]
    pub fn replace_after(&mut self, signal: Signal, meanwhile: impl FnOnce()) {
        self.signal(signal);
        self.wait();
        meanwhile();
        self.start_again();
    }

    /// Waits for its end, as [`TestServer::wait`], and starts another one in its place: the same addresses, files and variables.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.wait();
        let mut command = self.sandbox.server();
        for address in &self.addresses {
            command.args(["--listen", address]);
        }
        let log = File::options().append(true).open(&self.log).unwrap();
        command.envs(self.environment.iter().cloned());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        self.child = child;
        assert_eq!(read_addresses(stdout, self.addresses.len()), self.addresses);
    }

    /// Another server in its sandbox, which is to fail.
    #[track_caller]
    pub fn sandboxed_server(&self, listen: &str) -> Ran {
        Ran::of(self.sandbox.server().args(["--log-level", "error", "--listen", listen]))
    }

    /// Requires that it still serves.
    #[track_caller]
    pub fn still_serves(&mut self) {
        assert!(self.is_alive(), "the server is gone");
        assert_eq!(self.run(["echo at your service"]).succeeds(), "at your service\n");
    }
}

impl Deref for TestServer {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if self.is_alive() {
            self.signal(Signal::TERM);
            let start = std::time::Instant::now();
            wait_until("the server ends, at the latest by SIGKILL", DEADLINE, || {
                if start.elapsed() > STOP_DEADLINE {
                    self.child.kill().ok();
                }
                !self.is_alive()
            });
        }
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            eprintln!("--- end of the log of the server at {:?}\n{}\n---", self.addresses, last.join("\n"));
        }
    }
}

impl ServerOptions {
    /// One more address to listen on; `DIR` in it stands for the sandbox.
    pub fn listen(mut self, address: &str) -> Self {
        let address = address.replace("DIR", self.sandbox.path("").to_str().unwrap().trim_end_matches('/'));
        self.addresses += 1;
        self.argument("--listen").argument(&address)
    }

    /// It says so many addresses more, which are not named here.
    pub fn saying(mut self, addresses: usize) -> Self {
        self.addresses += addresses;
        self
    }

    /// One more argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// A variable in the server's own environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a shell does before it becomes the server: `umask 077`, say.
    pub fn after(mut self, prelude: &str) -> Self {
        self.prelude = format!("{prelude}; ");
        self
    }

    /// Another file than the one that cargo has built.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// A descriptor that a service manager passes on, under this name; the server says one address more.
    pub fn passing(mut self, descriptor: impl Into<OwnedFd>, name: &str) -> Self {
        self.addresses += 1;
        self.stdin(descriptor)
            .after(&format!("exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name}"))
    }

    /// Its stdin, which is `/dev/null` otherwise.
    pub fn stdin(mut self, descriptor: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(descriptor.into());
        self
    }

    /// Writes one of the files that the programs look for, in place of what may be there: see [`Sandbox::settings`].
    pub fn settings(self, name: &str, content: &str) -> Self {
        self.sandbox.settings(name, content);
        self
    }

    /// Has it put up with whatever comes from this machine.
    pub fn patient(self) -> Self {
        self.settings(
            "server.toml",
            "[limits]\nunauthenticated_per_source = 1000\nexempt = [\"127.0.0.0/8\"]\n",
        )
    }

    /// Gives it a terminal, as a server started by hand in the foreground has.
    pub fn on_a_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> TestServer {
        let server = self.sandbox.server();
        let mut command = self.sandbox.command(if self.terminal { "/usr/bin/setsid" } else { "/bin/sh" });
        let terminal = self.terminal.then(Terminal::new);
        if terminal.is_some() {
            command.args(["--ctty", "/bin/sh"]);
        }
        let stdin = match (self.stdin, &terminal) {
            (Some(descriptor), _) => descriptor.into(),
            (None, Some(terminal)) => terminal.end().into(),
            (None, None) => Stdio::null(),
        };
        let log = self.sandbox.path("server.log");
        let mut child = command
            .args(["-c", &format!("{}exec \"$@\"", self.prelude), "sh"])
            .arg(self.program.as_deref().map_or_else(|| server.get_program(), Path::as_os_str))
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut server = TestServer {
            child,
            environment: self.environment,
            addresses: Vec::new(),
            log,
            sandbox: self.sandbox,
            terminal,
        };
        server.addresses = read_addresses(stdout, self.addresses);
        server
    }
}

/// Reads the lines that say where the server listens. The thread ends with the server.
fn read_addresses(stdout: impl BufRead + Send + 'static, count: usize) -> Vec<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut addresses = Vec::new();
    while addresses.len() < count {
        let line = receiver.recv_timeout(DEADLINE).expect("the server does not say where it listens");
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("unexpected: {line:?}"));
        addresses.push(address.to_owned());
    }
    addresses
}
