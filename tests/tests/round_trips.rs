//! How often bytes cross the network until a command's output is there: a round trip for TCP, one for TLS, and one for the
//! command, with nothing asked before and nothing said twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tests::{DEADLINE, Ran, Running, TestServer, wait_until};

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

/// Carries the first connection to the server, until it is told to cut it, and the next one to `next`.
fn switch(first: SocketAddr, next: SocketAddr) -> (SocketAddr, mpsc::Sender<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (step, steps) = mpsc::channel();
    thread::spawn(move || {
        for to in [first, next] {
            let (client, server) = (listener.accept().unwrap().0, TcpStream::connect(to).unwrap());
            let ends = [(&client, &server), (&server, &client)].map(|(from, to)| {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || {
                    io::copy(&mut from, &mut to).ok();
                    to.shutdown(Shutdown::Write).ok();
                })
            });
            // To cut it, and then to let the next one through; the last one is carried to its end.
            if steps.recv().is_ok() {
                client.shutdown(Shutdown::Both).ok();
                server.shutdown(Shutdown::Both).ok();
                steps.recv().ok();
            }
            ends.into_iter().for_each(|end| end.join().unwrap());
        }
    });
    (address, step)
}

#[test]
fn a_stream_goes_on_with_the_second_answer_of_the_next_connection() {
    let server = TestServer::start();
    let to_server: SocketAddr = server.address().parse().unwrap();
    let link = SlowLink::start(to_server, DELAY, u32::MAX).unwrap();
    let (address, step) = switch(to_server, link.address());
    let directory = server.path("");
    let script = "echo one; until [ -e go ]; do sleep 0.02; done; echo two; : > said; exec sleep 1000";
    let mut command = server.bare_client();
    command.args(["-H", &address.to_string(), "run", "-q", "-n", "--cwd"]).arg(&directory).arg(script);
    let mut client = Running::start_with(&mut command, Stdio::null());
    client.wait_for_stdout("one\n");
    step.send(()).unwrap();
    server.file("go", "");
    wait_until("there is more", DEADLINE, || server.path("said").exists());
    step.send(()).unwrap();
    client.wait_for_stdout("one\ntwo\n");
    assert_eq!(link.answers(), ANSWERS);
}
