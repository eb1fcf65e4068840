//! `client --agent`: OpenSSH's agent lets a client in without a key in any file of Telex, and an agent that lies, breaks off
//! or says nothing costs one line and exit code 125.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tests::{
    DEADLINE, Ran, RawClient, Running, TestServer, client_key, resident_bytes, strange_key, wait_until,
};

/// Requests and answers of RFC 9987.
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_RESPONSE: u8 = 14;
const FAILURE: u8 = 5;

/// How long a client waits for a handshake, in which somebody may have to confirm the use of a key; a server too.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// How long one waits for an agent's list of keys.
const LIST: Duration = Duration::from_secs(60);

/// An agent that answers as a test wants it to.
struct FakeAgent {
    socket: PathBuf,
    /// Requests that have no answer.
    unanswered: Arc<AtomicUsize>,
}

/// What a fake agent says to one kind of request.
#[derive(Clone)]
enum Answer {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// Nothing, until the client goes.
    Silence,
}

impl FakeAgent {
    /// One that says these things to whoever asks for the keys, and for a signature.
    fn start(server: &TestServer, listed: Answer, signed: Answer) -> Self {
        let socket = server.path("fake-agent");
        fs::remove_file(&socket).ok();
        let listener = UnixListener::bind(&socket).unwrap();
        let unanswered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&unanswered);
        // Ends with the test program.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (listed, signed, count) = (listed.clone(), signed.clone(), Arc::clone(&count));
                thread::spawn(move || answer(stream, &listed, &signed, &count));
            }
        });
        Self { socket, unanswered }
    }

    /// One that has the client's key, and says this when it is to sign.
    fn that_signs(server: &TestServer, signed: Answer) -> Self {
        Self::start(server, Answer::Bytes(list(&[client_blob()])), signed)
    }

    fn client(&self, server: &TestServer) -> Command {
        client(server, &self.socket)
    }
}

fn answer(mut stream: UnixStream, listed: &Answer, signed: &Answer, unanswered: &AtomicUsize) {
    while let Ok(request) = read_request(&mut stream) {
        let answer = if request.first() == Some(&REQUEST_IDENTITIES) { listed } else { signed };
        match answer {
            Answer::Bytes(bytes) => {
                // The client may have heard enough.
                stream.write_all(bytes).ok();
                return;
            }
            Answer::Silence => {
                unanswered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn read_request(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request)?;
    Ok(request)
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn client_blob() -> Vec<u8> {
    client_key().public().to_blob()
}

fn list(blobs: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![IDENTITIES_ANSWER];
    body.extend((blobs.len() as u32).to_be_bytes());
    for blob in blobs {
        body.extend([string(blob), string(b"comment\n\x1b[2J")].concat());
    }
    string(&body)
}

fn signature(algorithm: &str, bytes: &[u8]) -> Vec<u8> {
    let blob = [string(algorithm.as_bytes()), string(bytes)].concat();
    string(&[&[SIGN_RESPONSE][..], &string(&blob)].concat())
}

/// `client --agent run` with its agent there, and no key of its own.
fn client(server: &TestServer, agent: &Path) -> Command {
    let mut command = server.client();
    command.env("SSH_AUTH_SOCK", agent).args(["--agent", "run", "-n", "echo in"]);
    command
}

fn server() -> TestServer {
    let server = TestServer::options().listen("127.0.0.1:0").patient().start();
    fs::remove_file(server.settings_path("id_ed25519")).unwrap();
    server
}

/// The client gives up, and says what contains `expected` on one line.
#[track_caller]
fn gives_up(mut client: Command, expected: &str) {
    let message = Ran::of(&mut client).complains("client", 125);
    assert!(message.contains(expected), "not {expected:?}: {message}");
    assert!(!message.contains(char::is_control), "{message:?}");
}

#[test]
fn an_impossible_list_of_keys_is_refused() {
    let server = server();
    let listed = list(&[client_blob()]);
    let bare = |body: &[u8]| string(body);
    let most = u32::MAX.to_be_bytes();
    for (bytes, expected) in [
        ([&most[..], &[IDENTITIES_ANSWER; 1000]].concat(), "ssh-agent: "),
        ([&(1_u32 << 20).to_be_bytes()[..], &[IDENTITIES_ANSWER; 1000]].concat(), "ssh-agent: "),
        (bare(&[&[IDENTITIES_ANSWER][..], &most].concat()), "ssh-agent: "),
        (bare(&[&[IDENTITIES_ANSWER][..], &1_u32.to_be_bytes(), &most].concat()), "ssh-agent: "),
        (bare(&[]), "ssh-agent: "),
        (bare(b"\x63whatever"), "ssh-agent: "),
        (bare(&[FAILURE]), "the agent refuses to list its keys"),
        (Vec::new(), "the agent closed the connection without an answer"),
        (listed[..1].to_vec(), "the agent closed the connection without an answer"),
        (listed[..4].to_vec(), "the agent closed the connection without an answer"),
        (listed[..listed.len() - 1].to_vec(), "the agent closed the connection without an answer"),
        (list(&[]), "the ssh-agent has no key that can be used"),
        (list(&[string(b"ssh-rsa")]), "a key of type ssh-rsa; only ssh-ed25519 is used here"),
        (list(&[string(b"sk-ssh-ed25519@openssh.com")]), "a security key signs for SSH alone"),
        (list(&[client_blob(), strange_key().public().to_blob()]), "the ssh-agent has 2 keys"),
    ] {
        let agent = FakeAgent::start(&server, Answer::Bytes(bytes), Answer::Silence);
        gives_up(agent.client(&server), expected);
    }
}

#[test]
fn a_signature_that_is_none_is_refused() {
    let server = server();
    let whole = signature("ssh-ed25519", &[7; 64]);
    for (bytes, expected) in [
        (whole.clone(), "the agent's signature is wrong"),
        (signature("ssh-ed25519", &[7; 63]), "cannot log in at "),
        (signature("rsa-sha2-512", &[7; 256]), "rsa-sha2-512"),
        (string(&[FAILURE]), "it may be constrained to SSH hosts (ssh-add -h)"),
        ([&u32::MAX.to_be_bytes()[..], &[SIGN_RESPONSE; 1000]].concat(), "cannot log in at "),
        (whole[..whole.len() - 1].to_vec(), "the agent closed the connection without an answer"),
        (whole[..6].to_vec(), "the agent closed the connection without an answer"),
        (Vec::new(), "the agent closed the connection without an answer"),
    ] {
        let agent = FakeAgent::that_signs(&server, Answer::Bytes(bytes));
        gives_up(agent.client(&server), expected);
    }
    assert!(!server.log().contains("connected"), "{}", server.log());
}

#[test]
fn an_agent_that_is_not_there_is_named() {
    let server = server();
    gives_up(client(&server, &server.path("nobody")), "no agent listens at ");
    let mut without = client(&server, Path::new(""));
    without.env_remove("SSH_AUTH_SOCK");
    gives_up(without, "no ssh-agent: SSH_AUTH_SOCK is not set");
}

#[test]
fn an_agent_is_waited_for_without_harm_to_anybody() {
    let server = server();
    let agent = FakeAgent::that_signs(&server, Answer::Silence);
    let mut waiting = Running::start(&mut agent.client(&server));
    wait_until("the agent is to sign", DEADLINE, || agent.unanswered.load(Ordering::Relaxed) == 1);
    // Others log in meanwhile.
    RawClient::greeted(server.address());
    assert!(!waiting.has_ended(), "somebody may be about to confirm");
    assert!(resident_bytes(waiting.id()) < 64 << 20);
}

#[test]
#[ignore = "waits 90 s for nothing; cargo test -p tests --test agent -- --ignored"]
fn a_silent_agent_is_given_up_in_time() {
    let server = server();
    let silent_at_list = FakeAgent::start(&server, Answer::Silence, Answer::Silence);
    gives_up_within(LIST, silent_at_list.client(&server), "the agent did not answer in time");
    let silent_at_signing = FakeAgent::that_signs(&server, Answer::Silence);
    gives_up_within(HANDSHAKE, silent_at_signing.client(&server), "the agent did not answer in time");
}

#[track_caller]
fn gives_up_within(deadline: Duration, mut client: Command, expected: &str) {
    let mut client = Running::start(&mut client);
    wait_until("the client gives up", deadline + Duration::from_secs(5), || client.has_ended());
    let message = client.finish().complains("client", 125);
    assert!(message.contains(expected), "not {expected:?}: {message}");
}

/// OpenSSH's own agent.
struct OpenSshAgent {
    socket: PathBuf,
    agent: Child,
    /// Held open, or the agent would find nobody to talk to.
    _stdout: BufReader<ChildStdout>,
}

impl OpenSshAgent {
    fn start(server: &TestServer) -> Self {
        let socket = server.path("agent");
        let mut agent = server
            .command("/usr/bin/ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(server.path("agent.log")).unwrap())
            .spawn()
            .expect("ssh-agent cannot be started: install openssh-client");
        let mut stdout = BufReader::new(agent.stdout.take().unwrap());
        // It says where it listens once it does.
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Self { socket, agent, _stdout: stdout }
    }

    /// Makes a key of this type, has the server let it in, and adds it with these options of ssh-add.
    fn add(&self, server: &TestServer, algorithm: &str, options: &[&str]) -> PathBuf {
        let file = server.path(&format!("key-{algorithm}-{}", options.len()));
        let mut make = server.command("/usr/bin/ssh-keygen");
        Ran::of(make.args(["-q", "-t", algorithm, "-N", "", "-f"]).arg(&file)).succeeds();
        if algorithm == "ed25519" {
            let line = fs::read_to_string(file.with_extension("pub")).unwrap();
            Ran::of(server.server().args(["authorize", line.trim()])).succeeds();
        }
        let mut add = server.command("/usr/bin/ssh-add");
        Ran::of(add.env("SSH_AUTH_SOCK", &self.socket).arg("-q").args(options).arg(&file)).succeeds();
        file
    }
}

impl Drop for OpenSshAgent {
    fn drop(&mut self) {
        self.agent.kill().ok();
        self.agent.wait().ok();
    }
}

#[test]
fn a_key_in_an_agent_lets_the_client_in() {
    let server = server();
    let agent = OpenSshAgent::start(&server);
    agent.add(&server, "rsa", &[]);
    gives_up(client(&server, &agent.socket), "a key of type ssh-rsa; only ssh-ed25519 is used here");
    let file = agent.add(&server, "ed25519", &[]);
    assert_eq!(Ran::of(&mut client(&server, &agent.socket)).succeeds(), "in\n");
    // Without the private half in any file, the public one names it.
    fs::remove_file(&file).unwrap();
    let mut named = server.client();
    named.env("SSH_AUTH_SOCK", &agent.socket).args(["--agent", "run", "-n", "-i"]).arg(&file).arg("echo in");
    assert_eq!(Ran::of(&mut named).succeeds(), "in\n");
}

#[test]
fn a_key_that_is_constrained_to_ssh_is_refused_with_the_reason() {
    let server = server();
    let host = server.path("ssh_host");
    Ran::of(server.command("/usr/bin/ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host))
        .succeeds();
    let line = fs::read_to_string(host.with_extension("pub")).unwrap();
    let known = server.file("ssh_known_hosts", format!("ssh.example {line}"));
    let agent = OpenSshAgent::start(&server);
    agent.add(&server, "ed25519", &["-H", known.to_str().unwrap(), "-h", "ssh.example"]);
    gives_up(client(&server, &agent.socket), "it may be constrained to SSH hosts (ssh-add -h)");
}
