//! Every sentence that somebody can meet on the way in: what happened, and what to do next. To the letter, since people
//! search for them and scripts match them.
//!
//! `{address}`, `{settings}`, `{key}` and so on stand for what differs from run to run.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tests::{
    DEADLINE, Ran, RawClient, RawListener, Sandbox, Terminal, TestServer, client_key, host_key, strange_key,
    wait_until,
};

/// A server in whose sandbox something is about to be wrong.
fn server() -> TestServer {
    TestServer::options().listen("127.0.0.1:0").patient().start()
}

/// `text` with names in place of what differs from run to run.
fn general(text: &str, server: &TestServer) -> String {
    let (_, port) = server.address().rsplit_once(':').unwrap();
    let directory = server.settings_path("").display().to_string();
    [
        (format!("[127.0.0.1]:{port}"), "{host}"),
        (server.address().to_owned(), "{address}"),
        (directory.trim_end_matches('/').to_owned(), "{settings}"),
        (server.path("").display().to_string().trim_end_matches('/').to_owned(), "{sandbox}"),
        (client_key().public().to_string(), "{key}"),
        (client_key().public().fingerprint().to_string(), "{key's fingerprint}"),
        (host_key().public().fingerprint().to_string(), "{host key's fingerprint}"),
        (strange_key().public().fingerprint().to_string(), "{other fingerprint}"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (found, name)| text.replace(&found, name))
}

/// Runs `client run true` once `prepare` has made something wrong; what it says.
#[track_caller]
fn says(prepare: impl FnOnce(&TestServer, &mut Command)) -> String {
    let server = server();
    let mut command = server.client();
    prepare(&server, &mut command);
    let message = Ran::of(command.args(["run", "-n", "true"])).complains("client", 125);
    general(&message, &server)
}

/// The same when it is the server's log that tells the reason.
#[track_caller]
fn says_and_logs(prepare: impl FnOnce(&TestServer), reason: &str) {
    let server = server();
    prepare(&server);
    let message = server.run(["-n", "true"]).complains("client", 125);
    assert_eq!(general(&message, &server), NOT_AUTHORISED);
    let log = general(&server.log(), &server);
    assert!(log.lines().any(|line| line.contains(" WARN ") && line.ends_with(reason)), "{reason}: {log}");
}

/// The answer to every key that is not let in, whatever the reason.
const NOT_AUTHORISED: &str = "{address} refuses this connection: this key is not authorised; let it in there: server authorize '{key}'";

fn chmod(path: PathBuf, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Has the client's `known_hosts` say this, and no more.
fn known(server: &TestServer, line: &str) {
    server.settings("known_hosts", format!("{line}\n"));
}

#[test]
fn about_the_own_key() {
    let none = says(|server, _| fs::remove_file(server.settings_path("id_ed25519")).unwrap());
    assert_eq!(
        none,
        "there is no key at {settings}/id_ed25519; make one with `client key`, and have the server let it in: server \
         authorize '…'"
    );
    let open = says(|server, _| chmod(server.settings_path("id_ed25519"), 0o644));
    assert_eq!(
        open,
        "{settings}/id_ed25519: it is a secret, and open to others (mode 0644); chmod 600 {settings}/id_ed25519"
    );
    let damaged = says(|server, _| drop(server.settings("id_ed25519", "nonsense\n")));
    assert_eq!(damaged, "{settings}/id_ed25519: not an OpenSSH private key");
    let missing = says(|server, command| {
        command.arg("-i").arg(server.path("nowhere"));
    });
    assert_eq!(missing, "there is no key at {sandbox}/nowhere; check the name of the file");
}

/// Puts a passphrase on the client's key.
fn encrypt(server: &TestServer) {
    let file = server.settings_path("id_ed25519");
    let mut change = server.command("/usr/bin/ssh-keygen");
    Ran::of(change.args(["-q", "-p", "-N", "passphrase", "-f"]).arg(file)).exits(0);
}

#[test]
fn about_an_encrypted_key() {
    let server = server();
    encrypt(&server);
    let mut alone = server.command("/usr/bin/setsid");
    alone.args(["/bin/bash", "-c", "exec -a client \"$@\"", "bash"]).arg(server.client().get_program());
    let message = Ran::of(alone.args(["-H", server.address(), "run", "-n", "true"])).complains("client", 125);
    assert_eq!(
        general(&message, &server),
        "{settings}/id_ed25519: the private key is protected by a passphrase; add it to the ssh-agent (ssh-add \
         {settings}/id_ed25519) and pass --agent, or call from a terminal"
    );

    let mut terminal = Terminal::new();
    let mut command = server.client();
    command.args(["run", "-n", "exit 3"]);
    let client = terminal.start(&server, &command);
    terminal.wait_for("passphrase for ");
    assert_eq!(general(&terminal.shown(), &server), "passphrase for {settings}/id_ed25519: ");
    terminal.line("passphrase");
    client.finish().exits(3);
    assert!(!terminal.shown().contains("passphrase\r"), "it is not shown: {}", terminal.shown());

    let mut terminal = Terminal::new();
    let client = terminal.start(&server, &command);
    for attempt in 1..=3 {
        wait_until("it asks", DEADLINE, || terminal.shown().matches("passphrase for ").count() == attempt);
        terminal.line("wrong");
    }
    let message = client.finish().complains("client", 125);
    assert_eq!(general(&message, &server), "{settings}/id_ed25519: the passphrase is wrong");
}

/// An agent that says it has these keys, and signs nothing.
fn agent_with(server: &TestServer, blobs: &[&[u8]]) -> PathBuf {
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    let keys: Vec<u8> = blobs.iter().flat_map(|blob| [string(blob), string(b"comment")].concat()).collect();
    let answer = string(&[&[12], &(blobs.len() as u32).to_be_bytes()[..], &keys].concat());
    let path = server.path("agent");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // SSH_AGENTC_REQUEST_IDENTITIES, with its length (RFC 9987).
            stream.read_exact(&mut [0; 5]).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    path
}

/// A key of a security token's, as an agent lists it.
fn token_key() -> Vec<u8> {
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    [string(b"sk-ssh-ed25519@openssh.com"), string(&[9; 32]), string(b"ssh:")].concat()
}

#[test]
fn about_the_agent() {
    let unset = says(|_, command| {
        command.arg("--agent");
    });
    assert_eq!(
        unset,
        "no ssh-agent: SSH_AUTH_SOCK is not set; start one (eval $(ssh-agent)), or leave --agent out"
    );
    let gone = says(|server, command| {
        command.arg("--agent").env("SSH_AUTH_SOCK", server.path("nobody"));
    });
    assert_eq!(
        gone,
        "ssh-agent: no agent listens at {sandbox}/nobody; start one (eval $(ssh-agent)), or leave --agent out"
    );
    let empty = says(|server, command| {
        command.arg("--agent").env("SSH_AUTH_SOCK", agent_with(server, &[]));
    });
    assert_eq!(
        empty,
        "the ssh-agent has no key that can be used; add one: ssh-add ~/.config/telex/id_ed25519"
    );
    let token = says(|server, command| {
        command.arg("--agent").env("SSH_AUTH_SOCK", agent_with(server, &[&token_key()]));
    });
    assert_eq!(
        token,
        "the ssh-agent has no key that can be used (a key of type sk-ssh-ed25519@openssh.com; a security key signs for \
         SSH alone and cannot be used here); add one: ssh-add ~/.config/telex/id_ed25519"
    );
    let keys = [client_key().public().to_blob(), strange_key().public().to_blob()];
    let several = says(|server, command| {
        command.arg("--agent").env("SSH_AUTH_SOCK", agent_with(server, &[&keys[0], &keys[1]]));
    });
    assert_eq!(several, "the ssh-agent has 2 keys; name the file of the one that is meant with -i");
}

/// What is said when `-i` names the file `key` for a key of the agent's.
#[track_caller]
fn says_of_the_agents(prepare: impl FnOnce(&TestServer)) -> String {
    says(|server, command| {
        prepare(server);
        let agent = agent_with(server, &[&client_key().public().to_blob()]);
        command.arg("--agent").env("SSH_AUTH_SOCK", agent).arg("-i").arg(server.path("key"));
    })
}

#[test]
fn about_the_file_that_names_a_key_of_the_agents() {
    let none =
        "there is no key in {sandbox}/key or {sandbox}/key.pub; name a key of the ssh-agent by its file";
    assert_eq!(says_of_the_agents(|_| {}), none);
    assert_eq!(says_of_the_agents(|server| drop(server.file("key", b"\xff"))), none);
    let wait_for_writers = |server: &TestServer, name: &str| {
        mknodat(CWD, server.path(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    };
    for name in ["key", "key.pub"] {
        assert_eq!(
            says_of_the_agents(|server| wait_for_writers(server, name)),
            format!("{{sandbox}}/{name}: it is a FIFO, not a file; name a key of the ssh-agent by its file")
        );
    }
    let long = says_of_the_agents(|server| drop(server.file("key", [b' '; 64 * 1024 + 1])));
    assert_eq!(
        long,
        "{sandbox}/key: it has 65537 bytes; at most 65536 are read; name a key of the ssh-agent by its file"
    );
    let other = says_of_the_agents(|server| {
        wait_for_writers(server, "key");
        server.file("key.pub", strange_key().public().to_string());
    });
    assert_eq!(other, "the ssh-agent does not have the key {other fingerprint}; add it with ssh-add");
}

#[test]
fn about_the_server() {
    let unknown = says(|server, _| fs::remove_file(server.settings_path("known_hosts")).unwrap());
    assert_eq!(
        unknown,
        "the server {host} is not known; its key is {host key's fingerprint}; compare with what `server key` prints there, \
         then call from a terminal and say yes, or pass --accept-new"
    );
    let changed = says(|server, _| known(server, &format!("# mine\n* {}", strange_key().public())));
    assert_eq!(
        changed,
        "the key of {host} is not the one that is known; it is now {host key's fingerprint}; somebody may be between, or \
         the server was set up anew: ask its owner, and only then remove line 2 of {settings}/known_hosts"
    );
    let revoked = says(|server, _| known(server, &format!("@revoked * {}", host_key().public())));
    assert_eq!(
        revoked,
        "the key of {host} is revoked: {host key's fingerprint}; line 1 of {settings}/known_hosts says so: ask its owner \
         for another one"
    );
    let unclear = says(|server, _| known(server, &format!("# mine\n|1|AAAA|AAAA {}", host_key().public())));
    assert_eq!(
        unclear,
        "it cannot be told whether the server {host} is known; its key is {host key's fingerprint}; line 2 of \
         {settings}/known_hosts may be about it and cannot be read: mend it, or take it out"
    );
    let open = says(|server, _| chmod(server.settings_path("known_hosts"), 0o666));
    assert_eq!(
        open,
        "{settings}/known_hosts: it can be changed by others (mode 0666); chmod go-w {settings}/known_hosts"
    );
}

#[test]
fn about_a_server_that_a_person_does_not_know() {
    let server = server();
    fs::remove_file(server.settings_path("known_hosts")).unwrap();
    let mut terminal = Terminal::new();
    let mut command = server.client();
    let client = terminal.start(&server, command.args(["run", "-n", "true"]));
    terminal.wait_for("(yes/no) ");
    assert_eq!(
        general(&terminal.shown(), &server),
        "the server {host} is not known. Its key is\r\n  {host key's fingerprint}\r\n\
         Is that the key that `server key` prints there? (yes/no) "
    );
    terminal.line("no");
    let message = client.finish().complains("client", 125);
    assert_eq!(general(&message, &server), "the server {host} is not trusted: nothing was sent to it");
}

#[test]
fn about_a_key_that_is_not_let_in() {
    let key = client_key().public();
    says_and_logs(|server| drop(server.settings("authorized_keys", "")), "reason=the key is not listed");
    says_and_logs(
        |server| drop(server.settings("authorized_keys", format!("expiry-time=\"20200101\" {key}\n"))),
        "reason=line 1 refuses: the key has expired by the clock of this machine",
    );
    says_and_logs(
        |server| drop(server.settings("revoked_keys", format!("{key}\n"))),
        "reason=the key is revoked",
    );
    says_and_logs(
        |server| chmod(server.settings_path("authorized_keys"), 0o666),
        "reason={settings}/authorized_keys: it can be changed by others (mode 0666) advice=\"chmod go-w \
         {settings}/authorized_keys\"",
    );
    says_and_logs(
        |server| drop(server.settings("revoked_keys", "nonsense\n")),
        "reason={settings}/revoked_keys:1: no key; nobody is let in",
    );
}

#[test]
fn about_an_account_that_the_server_is_not() {
    let server = server();
    let own = server.run(["id -un"]).succeeds();
    let target = format!("somebody-else@{}", server.address());
    let message = Ran::of(server.bare_client().args(["-H", &target, "run", "true"])).complains("client", 125);
    let expected = format!(
        "the server refuses this user: it runs commands as {}, not as somebody-else; leave the user out",
        own.trim_end()
    );
    assert_eq!(message, expected);
}

#[test]
fn about_an_address_that_has_failed_too_often() {
    let server = TestServer::start();
    for _ in 0..3 {
        let mut peer = RawClient::connect_as(strange_key(), server.address());
        peer.greet();
        assert!(peer.hear_close().is_some());
    }
    wait_until("it is turned away", DEADLINE, || {
        general(&server.run(["true"]).errors(), &server).contains("for a while")
    });
    let message = server.run(["true"]).complains("client", 125);
    assert_eq!(
        general(&message, &server),
        "{address} takes no connections from here for a while, after failed attempts; try again in a minute"
    );
}

#[test]
fn about_invitations() {
    let server = server();
    let line = Ran::of(server.server().args(["invite", "--address", server.address()])).exits(0).text();
    let line = line.trim_end();
    let stranger = Sandbox::new();
    stranger.key("id_ed25519", strange_key());
    let join = |line: &str| Ran::of(stranger.client().args(["join", line])).complains("client", 125);
    Ran::of(Sandbox::new().client().args(["join", line])).exits(0);
    let spent = "the server does not accept the invitation: it is spent, has expired, or was never made; ask for a new one, \
                 which `server invite` makes";
    assert_eq!(join(line), spent);
    // What is told with the line takes it back.
    let ran =
        Ran::of(server.server().args(["invite", "--ttl", "1h", "--address", server.address()])).exits(0);
    let told = ran.errors();
    let path = told.trim_end().strip_prefix("server: it is good once, for 1h; to take it back, rm ").unwrap();
    fs::remove_file(path).unwrap();
    assert_eq!(join(ran.text().trim_end()), spent);

    let mut short = server.server();
    let short = Ran::of(short.args(["invite", "--ttl", "1s", "--address", server.address()])).exits(0).text();
    wait_until("it has expired", DEADLINE, || {
        !Ran::of(server.server().arg("check")).text().contains("an invitation is open")
    });
    assert_eq!(join(short.trim_end()), spent);

    let other = RawListener::secure(strange_key());
    let misled = line.replace(server.address(), &other.address());
    let waiting = thread::spawn(move || other.accept().hear_all());
    let message = join(&misled);
    assert_eq!(waiting.join().unwrap(), b"");
    let (_, told) = message.split_once(" is ").unwrap();
    assert_eq!(
        general(told, &server),
        "{other fingerprint}, and not {host key's fingerprint} as was promised; the invitation is for another server, or \
         somebody is between; nothing was sent"
    );

    let cut = "the invitation is not complete; copy the whole line that `server invite` has printed";
    assert_eq!(join(&line[..line.len() - 1]), cut);
    let piped = |line: &str| {
        Ran::with_input(stranger.client().args(["join", "-"]), line.as_bytes()).complains("client", 125)
    };
    assert_eq!(piped(&line[..line.len() - 1]), cut);
    let foreign = "an invitation begins with telex://; copy the whole line that `server invite` has printed";
    assert_eq!(piped("hello\n"), foreign);
    let invitation = "-H: that is an invitation to a server; accept it first: client join LINE";
    assert_eq!(Ran::of(stranger.client().args(["-H", line, "ping"])).complains("client", 125), invitation);
}

#[test]
fn about_a_home_that_is_not_known() {
    let message = Ran::of(Sandbox::new().client().arg("key").env_remove("HOME")).complains("client", 125);
    let sentence = "HOME is not set to an absolute path; set it to your home directory: your key and the known servers are there";
    assert_eq!(message, sentence);
}

#[test]
fn about_settings() {
    let client = says(|server, _| drop(server.settings("config.toml", "\ndefualt_host = 'db1'\n")));
    assert_eq!(client, "{settings}/config.toml:2: unknown key `defualt_host`; did you mean `default_host`?");
    let sandbox = Sandbox::with_keys();
    let path = sandbox.settings("server.toml", "[limits]\nlogin_timeuot = '1s'\n");
    let expected =
        format!("{}:2: unknown key `login_timeuot`; did you mean `login_timeout`?", path.display());
    for arguments in [&[][..], &["check"], &["invite"]] {
        assert_eq!(Ran::of(sandbox.server().args(arguments)).complains("server", 78), expected);
    }
    sandbox.settings("server.toml", "address = '0.0.0.0:9000'\n");
    let nowhere = "an invitation needs an address that others can connect to; pass --address HOST:PORT";
    assert_eq!(Ran::of(sandbox.server().arg("check")).exits(78).errors(), format!("server: {nowhere}\n"));
    let unknown = Ran::of(sandbox.server().args(["revoke", "SHA256:xx"])).complains("server", 78);
    assert!(unknown.ends_with("; `server keys` lists them"), "{unknown}");
    chmod(path.clone(), 0o666);
    let open = format!("{0}: it can be changed by others (mode 0666); chmod go-w {0}", path.display());
    assert_eq!(Ran::of(sandbox.server().arg("check")).complains("server", 78), open);
}

#[test]
fn about_a_server_that_must_not_start() {
    let sandbox = Sandbox::new();
    let public = Ran::of(sandbox.server().args(["--listen", "0.0.0.0:0"]));
    let errors = public.errors();
    assert_eq!(
        errors.lines().last(),
        Some(
            "server: 0.0.0.0:0 can be reached from other machines, and no key is authorised; let somebody in first, with \
             `server authorize 'ssh-ed25519 …'` or `server invite`"
        )
    );
    let sandbox = Sandbox::with_keys();
    let path = sandbox.settings_path("host_key");
    chmod(path.clone(), 0o640);
    let errors = Ran::of(sandbox.server().args(["--listen", "127.0.0.1:0"])).exits(78).errors();
    let expected = format!(
        "server: no host key: {0}: it is a secret, and open to others (mode 0640); chmod 600 {0}",
        path.display()
    );
    assert_eq!(errors.lines().last(), Some(expected.as_str()));
}
