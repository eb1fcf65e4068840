//! A client that sends beyond its window is sent away at the first frame that does, however much comes behind it.

use bytes::Bytes;
use common::frame::{JobNumber, StreamId};
use common::greeting::{Close, CloseCode};
use common::job::{Program, Spec};
use common::limits::{DATA_PAYLOAD, INITIAL_WINDOW, STREAM_WINDOW};
use common::message::ServerMessage;
use common::packet::Packet;
use tokio::task::JoinHandle;

use super::peer::{Peer, packet, request};
use super::world::{World, start};

/// What comes behind the byte too many.
const MORE: u64 = 16 * 1024 * 1024;

/// What the largest pipe to a command holds, and so counts as handed on.
const PIPE: u64 = 4 * DATA_PAYLOAD as u64;

fn data(offset: u64, len: u64) -> Vec<u8> {
    let bytes = Bytes::from(vec![b'x'; len as usize]);
    packet(Packet::Data { job: JobNumber(1), stream: StreamId::Stdin, offset, bytes })
}

/// A job that reads `read` bytes of its stdin and then no more.
async fn reader(world: &World, read: u64) -> (Peer, JoinHandle<()>) {
    let (stream, serving) = world.serve_unix();
    let mut peer = Peer::greeted(stream).await;
    let script = format!("head -c {read} > /dev/null; exec sleep 1000");
    let spec = Spec { stdin: true, ..Spec::new(Program::Shell(script.as_str().into())) };
    peer.say(&request(1, start(spec))).await;
    let started = peer.hear().await;
    assert!(matches!(started, Some(Packet::Message { message: ServerMessage::Started { .. }, .. })));
    (peer, serving)
}

/// Sends `MORE` from `offset` on, in large frames, whatever the server says.
async fn flood(peer: &mut Peer, offset: u64) {
    let len = DATA_PAYLOAD as u64;
    for at in (offset..offset + MORE).step_by(DATA_PAYLOAD) {
        peer.say(&data(at, len)).await;
    }
}

/// Where the refused frame ends, and the limit that it goes beyond.
fn excess(close: &Close) -> (u64, u64) {
    assert_eq!(close.code, CloseCode::Violation, "{close:?}");
    let mut numbers = close.text.split_whitespace().filter_map(|word| word.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[tokio::test]
async fn the_first_byte_beyond_the_window_ends_the_connection() {
    let world = World::new();
    let (mut peer, serving) = reader(&world, 0).await;
    peer.say(&data(0, INITIAL_WINDOW)).await;
    // The first page goes into the pipe, and opens the window once and for all.
    let limit = match peer.hear().await {
        Some(Packet::Ack { ack, .. }) => ack.limit,
        other => panic!("no acknowledgement: {other:?}"),
    };
    for at in (INITIAL_WINDOW..limit).step_by(DATA_PAYLOAD) {
        peer.say(&data(at, (limit - at).min(DATA_PAYLOAD as u64))).await;
    }
    assert!(peer.is_served(1).await, "a window may be filled");
    peer.say(&data(limit, 1)).await;
    flood(&mut peer, limit + 1).await;
    assert_eq!(excess(&peer.hear_goodbye().await.unwrap()), (limit + 1, limit));
    serving.await.unwrap();
    world.jobs_are_over().await;
}

#[tokio::test]
async fn a_client_that_heeds_no_window_is_sent_away_at_its_first_frame_too_many() {
    for read in [INITIAL_WINDOW, STREAM_WINDOW, 5 * STREAM_WINDOW] {
        let world = World::new();
        let budget = world.service.budget.left();
        let (mut peer, serving) = reader(&world, read).await;
        flood(&mut peer, 0).await;
        let (end, limit) = excess(&peer.hear_goodbye().await.unwrap());
        assert!(end - limit <= DATA_PAYLOAD as u64, "{end} with a limit of {limit}");
        assert!(limit <= read + PIPE + STREAM_WINDOW, "{limit} for a command that reads {read}");
        serving.await.unwrap();
        world.jobs_are_over().await;
        assert_eq!(world.service.budget.left(), budget, "what the stream could hold is given back");
    }
}
