//! How people are let in and put out in a test: the server's commands beside a running server, and the client's by people who
//! share nothing with it.

use std::fs;

use crate::running::Ran;
use crate::sandbox::Sandbox;
use crate::test_server::TestServer;

/// A server that nobody can use yet, and that puts up with every failed attempt.
pub fn new_server() -> TestServer {
    TestServer::options_in(Sandbox::new()).listen("127.0.0.1:0").patient().start()
}

/// What `server ARGUMENTS` prints beside a running server.
#[track_caller]
pub fn administer(server: &TestServer, arguments: &[&str]) -> String {
    Ran::of(server.server().args(arguments)).exits(0).text()
}

/// The line that `server invite` prints.
#[track_caller]
pub fn invite(server: &TestServer, options: &[&str]) -> String {
    let arguments = [&["invite", "--address", server.address()], options].concat();
    administer(server, &arguments).trim_end().to_owned()
}

/// `client join ARGUMENTS` by `person`.
pub fn join(person: &Sandbox, arguments: &[&str]) -> Ran {
    Ran::of(person.client().arg("join").args(arguments))
}

/// `client -H HOST run ARGUMENTS` by `person`.
pub fn run(person: &Sandbox, host: &str, arguments: &[&str]) -> Ran {
    Ran::of(person.client().args(["-H", host, "run"]).args(arguments))
}

/// Whether `server check` knows of an open invitation.
#[track_caller]
pub fn has_open_invitation(server: &TestServer) -> bool {
    administer(server, &["check"]).contains("an invitation is open")
}

/// What its `authorized_keys` has; nothing if it is not there.
pub fn authorized_lines(server: &TestServer) -> String {
    fs::read_to_string(server.settings_path("authorized_keys")).unwrap_or_default()
}
