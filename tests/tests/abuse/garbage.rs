//! What scanners, browsers and broken clients send to a port: it is closed soon, and leaves no trace worth speaking of.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tests::flood::{connect_task_from, source};
use tests::{Noise, TestServer, resident_bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time;

use super::{MIB, address, on_this_machine};

/// Those that are at it at the same time: fewer than there are places for strangers.
const AT_A_TIME: usize = 128;

const ALLOWED_LINES: usize = 100;
const ALLOWED_GROWTH: u64 = 8 * MIB;

/// A record that says it holds a handshake, of 16 KiB (RFC 8446, section 5.1).
const RECORD: [u8; 5] = [22, 3, 3, 0x40, 0];

/// The number so many of all the garbage there is; some of it is never finished.
fn garbage(number: usize) -> Vec<u8> {
    let mut noise = Noise::new(number as u64);
    match number % 8 {
        0 => b"GET / HTTP/1.1\r\nHost: telex\r\n\r\n".to_vec(),
        1 => b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        2 => old_hello(&mut noise),
        3 => [&RECORD[..], &noise.bytes(16 * 1024)].concat(),
        4 => RECORD[..noise.below(RECORD.len())].to_vec(),
        _ => {
            let length = noise.below(64 * 1024);
            noise.bytes(length)
        }
    }
}

/// The first word of a client that speaks TLS 1.2 at best (RFC 5246, section 7.4.1.2).
fn old_hello(noise: &mut Noise) -> Vec<u8> {
    let random = noise.bytes(32);
    // No session id, one cipher suite (ECDHE, RSA, AES-128, GCM), no compression, no extensions.
    let rest = [0, 0, 2, 0xc0, 0x2f, 1, 0];
    let body = [&[3, 3][..], &random, &rest].concat();
    let handshake = [&[1, 0, 0, body.len() as u8][..], &body].concat();
    [&[22, 3, 1, 0, handshake.len() as u8][..], &handshake].concat()
}

/// Sends garbage and leaves it at that; how long the server keeps the connection.
async fn send(garbage: Vec<u8>, from: Ipv4Addr, server: SocketAddr) -> Duration {
    let mut stream = connect_task_from(from, server).await.unwrap();
    let begun = Instant::now();
    // It may be closed before it has heard everything.
    stream.write_all(&garbage).await.ok();
    let mut answer = Vec::new();
    time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer))
        .await
        .expect("the server does not close")
        .ok();
    assert!(answer.len() <= 64, "the server has said {} bytes", answer.len());
    begun.elapsed()
}

async fn send_all(count: usize, server: SocketAddr) -> Duration {
    let (mut longest, mut sending) = (Duration::ZERO, JoinSet::new());
    for number in 0..count {
        if sending.len() == AT_A_TIME {
            longest = longest.max(sending.join_next().await.unwrap().unwrap());
        }
        // Every time from elsewhere: else the server would soon stop listening.
        sending.spawn(send(garbage(number), source(number as u16), server));
    }
    sending.join_all().await.into_iter().fold(longest, Duration::max)
}

async fn run(count: usize, settings: &str, closed_within: Duration) {
    let mut server = TestServer::options().listen("127.0.0.1:0").settings("server.toml", settings).start();
    server.run(["true"]).exits(0);
    let (lines, before) = (server.log().lines().count(), resident_bytes(server.process_id()));
    let longest = send_all(count, address(&server)).await;
    let lines = server.log().lines().count() - lines;
    let grown = resident_bytes(server.process_id()).saturating_sub(before);
    println!("{count} closed, the last after {longest:?}; {lines} lines; grown by {} KiB", grown / 1024);
    // What waits for a deadline is closed by then, not before.
    assert!(longest < on_this_machine(closed_within), "one was closed after {longest:?}");
    assert!(lines <= ALLOWED_LINES, "{lines} lines of log");
    assert!(grown < ALLOWED_GROWTH, "grown by {grown} bytes");
    server.still_serves();
}

/// 500 times, with 1 s for a first word.
#[tokio::test]
async fn garbage_is_closed_and_forgotten() {
    let settings = "[limits]\nclient_hello_timeout = \"1s\"\n";
    run(500, settings, Duration::from_secs(2)).await;
}

/// 10,000 times, with the 5 s that everybody has.
#[tokio::test]
#[ignore = "takes more than a minute"]
async fn much_garbage_is_closed_and_forgotten() {
    run(10_000, "", Duration::from_millis(5_500)).await;
}
