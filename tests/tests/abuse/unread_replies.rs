//! A client that asks and never reads: the server stops listening to it instead of remembering its answers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::frame::{JobNumber, StreamId};
use common::greeting::CloseCode;
use common::job::{Program, Spec, Variable};
use common::limits::{INITIAL_WINDOW, PING_PAYLOAD, WRITE_STALL};
use common::message::ClientMessage;
use common::packet::{Echo, Packet};
use rustix::net::sockopt;
use tests::flood::{Insider, Maximum, connect_from, connect_task_from, sockets, source};
use tests::{
    DEADLINE, Mark, RawClient, TestServer, client_key, resident_bytes, start_spec, strange_key, wait_until,
    within,
};
use tokio::time;

use super::{MIB, address};

/// What one such client may cost.
const ALLOWED_GROWTH: u64 = 4 * MIB;

/// Nothing taken for so long is a server that does not read.
const STUCK: Duration = Duration::from_secs(1);

fn ping(token: u64) -> Packet<ClientMessage> {
    Packet::Ping(Echo { token, payload: Bytes::from_static(&[7; PING_PAYLOAD]) })
}

/// A client with small buffers, so that it is soon seen what the server does.
async fn deaf_client(server: SocketAddr) -> Insider {
    let stream = connect_task_from(source(1), server).await.unwrap();
    sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
    sockopt::set_socket_send_buffer_size(&stream, 64 * 1024).unwrap();
    Insider::enter(stream, strange_key()).await
}

/// Sends pings until nobody takes them any more; how many were taken.
async fn ping_until_stuck(insider: &Insider, most: u64) -> u64 {
    for token in 0..most {
        if time::timeout(STUCK, insider.sender.send_control(ping(token))).await.is_err() {
            return token;
        }
    }
    most
}

/// A server at which [`strange_key`] is no stranger.
fn server() -> TestServer {
    let server = TestServer::start();
    let line = |key: &common::keys::PrivateKey| format!("{}\n", key.public());
    server.settings("authorized_keys", [line(client_key()), line(strange_key())].concat());
    server.run(["true"]).exits(0);
    server
}

/// The deaf client, after the server has been shown to put up with it.
async fn put_up_with(server: &mut TestServer, most: u64) -> Insider {
    let process = server.process_id();
    let before = resident_bytes(process);
    let occupied = Maximum::of(move || resident_bytes(process) as usize);
    let insider = deaf_client(address(server)).await;
    let taken = ping_until_stuck(&insider, most).await;
    let grown = (occupied.take() as u64).saturating_sub(before);
    println!("{taken} pings taken; grown by {} KiB", grown / 1024);
    assert!(taken < most, "the server takes pings without end");
    assert!(grown < ALLOWED_GROWTH, "grown by {grown} bytes");
    server.still_serves();
    insider
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn pings_whose_answers_nobody_reads_are_not_taken() {
    put_up_with(&mut server(), 400_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "takes more than a minute"]
async fn a_client_that_never_reads_is_cut_off_after_a_minute() {
    let mut server = server();
    let insider = put_up_with(&mut server, 10_000_000).await;
    let stuck = Instant::now();
    within("it is cut off", time::timeout(WRITE_STALL + STUCK, insider.sender.closed())).await.unwrap();
    println!("cut off after {:?}", stuck.elapsed());
    server.still_serves();
}

/// Its key is good no longer, and it must not be for as long as it likes that its jobs run.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_never_reads_is_gone_as_soon_as_its_key_is() {
    let mut server = server();
    let (process, before) = (server.process_id(), sockets(server.process_id()));
    let insider = deaf_client(address(&server)).await;
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let mut spec = Spec::new(Program::Argv(vec!["sleep".into(), "1000".into()]));
    spec.environment = vec![Variable { name: name.into(), value: value.into() }];
    let start = start_spec(spec);
    insider.sender.send_control(Packet::Message { job: JobNumber(1), message: start }).await.unwrap();
    mark.wait_for(1);
    assert!(ping_until_stuck(&insider, 400_000).await < 400_000);

    server.settings("authorized_keys", format!("{}\n", client_key().public()));
    // 2 s as promised, and 2 s more for what was queued.
    wait_until("its jobs are ended", Duration::from_secs(5), || mark.processes().is_empty());
    wait_until("its connection is closed", Duration::from_secs(5), || sockets(process) <= before);
    server.still_serves();
}

/// Bytes one by one for a command that does not read them.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_window_full_of_single_bytes_costs_no_more_than_a_window() {
    let mut server = server();
    let process = server.process_id();
    let before = resident_bytes(process);
    let mut insider = deaf_client(address(&server)).await;
    let Insider { reader, sender, .. } = &mut insider;
    let occupied = Maximum::of(move || resident_bytes(process) as usize);
    let spec = Spec { stdin: true, ..Spec::new(Program::Shell("sleep 1000".into())) };
    let start = start_spec(spec);
    sender.send_control(Packet::Message { job: JobNumber(1), message: start }).await.unwrap();
    for offset in 0..=INITIAL_WINDOW {
        let bytes = Bytes::from_static(b"x");
        let packet = Packet::Data { job: JobNumber(1), stream: StreamId::Stdin, offset, bytes };
        // The last one is over the limit, unless the server has granted more.
        within("it is taken", sender.send_control(packet)).await.ok();
    }
    within("it is answered", reader.next()).await.ok();
    let grown = (occupied.take() as u64).saturating_sub(before);
    println!("grown by {} KiB", grown / 1024);
    assert!(grown < ALLOWED_GROWTH, "grown by {grown} bytes");
    server.still_serves();
}

#[test]
fn a_ping_before_the_greeting_is_a_violation() {
    let mut server = TestServer::start();
    let stream = connect_from(source(1), address(&server)).unwrap();
    let mut stranger = RawClient::secure(strange_key(), stream);
    stranger.send(ping(1));
    let sent = Instant::now();
    stranger.is_refused_aloud(CloseCode::Violation);
    assert!(sent.elapsed() < DEADLINE / 10, "it was closed after {:?}", sent.elapsed());
    server.still_serves();
}
