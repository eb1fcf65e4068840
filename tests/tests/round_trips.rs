//! How often bytes cross the network until a command's output is there: a round trip for TCP, one for TLS, and one for the
//! command, with nothing asked before and nothing said twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};
use std::time::Duration;

use tests::{Ran, Running, TestServer};

#[path = "../../benches/src/slow_link.rs"]
mod slow_link;

use slow_link::SlowLink;

/// Long enough that whatever one side says without waiting for the other is under way together. Nothing here is timed.
const DELAY: Duration = Duration::from_millis(100);

/// The server's half of the handshake, and then its greeting and the output.
const ANSWERS: u32 = 2;

/// A client that reaches `server` by a link that ends when more than `most_answers` would have to be carried.
fn far_away(server: &TestServer, most_answers: u32) -> (Command, SlowLink) {
    let link = SlowLink::start(server.address().parse().unwrap(), DELAY, most_answers).unwrap();
    let mut client = server.bare_client();
    client.args(["-H", &link.address().to_string(), "run", "--grace", "0", "-n", "echo output"]);
    (client, link)
}

#[test]
fn output_is_there_with_the_second_answer() {
    let server = TestServer::start();
    let (mut client, link) = far_away(&server, ANSWERS);
    let mut client = Running::start_with(&mut client, Stdio::null());
    client.wait_for_stdout("output\n");
    assert_eq!(link.answers(), ANSWERS);
}

#[test]
fn it_is_not_there_with_the_first() {
    let server = TestServer::start();
    let (mut client, link) = far_away(&server, ANSWERS - 1);
    let ran = Ran::of(&mut client).exits(125);
    assert_eq!((ran.text().as_str(), link.answers()), ("", ANSWERS - 1));
}
