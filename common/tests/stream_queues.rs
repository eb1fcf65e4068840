//! The two ends of a stream as tasks share them: order, gathering, budgets, and every way in which a wait ends.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/random.rs"]
mod random;
#[path = "support/recording_allocator.rs"]
mod recording_allocator;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::limits::{DATA_PAYLOAD, GATHER_BELOW, INITIAL_WINDOW, STREAM_WINDOW};
use common::packet::Ack;
use common::stream::{Budget, Inbound, Outbound, Stopped, StreamError};
use tokio::sync::mpsc;
use tokio::time;

use random::{Random, SeedOnPanic};
use recording_allocator::{Memory, memory_of};

/// What one stream borrows from its budget.
const EXTRA: u64 = STREAM_WINDOW - INITIAL_WINDOW;

/// The content of a stream is known from its offsets.
fn content(offset: u64, len: usize) -> Bytes {
    (offset..).take(len).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

fn inbound() -> Inbound {
    Inbound::new(Budget::new(EXTRA))
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// With a paused clock the hour is over as soon as everyone waits for someone else.
async fn soon<F: Future>(future: F) -> F::Output {
    time::timeout(Duration::from_secs(3600), future).await.unwrap()
}

/// Everything that can be taken now, piece by piece; each is handed on at once.
fn take_all(stream: &Inbound) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while let Poll::Ready(Some(piece)) = poll_once(stream.next()) {
        stream.delivered(piece.len());
        pieces.push(piece);
    }
    pieces
}

#[test]
fn bytes_come_out_in_order_whatever_pieces_they_came_in() {
    let lengths = [1, 2, 100, 4096, GATHER_BELOW - 1, GATHER_BELOW, GATHER_BELOW + 1, 60_000];
    for seed in 0..60 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        let stream = inbound();
        let (mut taken, mut limit) = (0, INITIAL_WINDOW);
        for _ in 0..50 {
            let len = lengths[random.below(lengths.len() as u64) as usize];
            let offset = stream.received();
            if offset + len as u64 <= limit {
                // The front of it may be a repetition.
                let repeated = random.below(offset + 1).min(500);
                let start = offset - repeated;
                stream.receive(start, content(start, len + repeated as usize)).unwrap();
            } else if let Poll::Ready(Some(piece)) = poll_once(stream.next()) {
                assert_eq!(piece, content(taken, piece.len()));
                taken += piece.len() as u64;
                limit = stream.delivered(piece.len()).map_or(limit, |ack| ack.limit);
            }
        }
        let rest = take_all(&stream).concat();
        assert_eq!(rest, content(taken, (stream.received() - taken) as usize));
    }
}

#[test]
fn single_bytes_are_gathered_and_do_not_keep_their_read_buffers() {
    let stream = inbound();
    let ((), Memory { held, .. }) = memory_of(|| {
        for offset in 0..INITIAL_WINDOW {
            let read_buffer = Bytes::from(vec![content(offset, 1)[0]; 4096]);
            stream.receive(offset, read_buffer.slice(..1)).unwrap();
        }
    });
    assert!(held < 3 * INITIAL_WINDOW as isize, "{held} bytes held for a window of {INITIAL_WINDOW}");
    let pieces = take_all(&stream);
    assert!(pieces.len() <= 2, "{} pieces", pieces.len());
    assert_eq!(pieces.concat(), content(0, INITIAL_WINDOW as usize));
}

#[test]
fn a_full_window_of_small_pieces_becomes_few_large_ones() {
    let stream = inbound();
    stream.receive(0, content(0, INITIAL_WINDOW as usize)).unwrap();
    take_all(&stream);
    let ((), Memory { held, largest }) = memory_of(|| {
        while stream.received() + 300 <= INITIAL_WINDOW + STREAM_WINDOW {
            stream.receive(stream.received(), content(stream.received(), 300)).unwrap();
        }
    });
    assert!(held < 2 * STREAM_WINDOW as isize, "{held} bytes held for a window of {STREAM_WINDOW}");
    assert!(largest <= 2 * DATA_PAYLOAD, "{largest} bytes in one block");
    let pieces = take_all(&stream);
    assert!(pieces.len() <= 2 + STREAM_WINDOW as usize / (DATA_PAYLOAD - 300), "{} pieces", pieces.len());
    assert_eq!(pieces.concat(), content(INITIAL_WINDOW, (stream.received() - INITIAL_WINDOW) as usize));
}

#[test]
fn what_is_refused_is_not_queued() {
    let stream = inbound();
    stream.receive(0, content(0, 10)).unwrap();
    assert_eq!(stream.receive(11, content(11, 5)), Err(StreamError::Gap { offset: 11, received: 10 }));
    let beyond = StreamError::BeyondLimit { end: INITIAL_WINDOW + 1, limit: INITIAL_WINDOW };
    assert_eq!(stream.receive(1, content(1, INITIAL_WINDOW as usize)), Err(beyond));
    assert_eq!(stream.finish(9), Err(StreamError::WrongTotal { total: 9, received: 10 }));
    assert!(!stream.is_ended());
    stream.finish(10).unwrap();
    assert_eq!(stream.receive(5, content(5, 6)), Err(StreamError::AfterEnd));
    stream.receive(5, content(5, 5)).unwrap();
    assert_eq!(take_all(&stream).concat(), content(0, 10));
    assert_eq!(poll_once(stream.next()), Poll::Ready(None));
}

#[test]
fn sixteen_megabytes_beyond_the_window_are_refused_and_none_of_them_kept() {
    const EXCESS: usize = 16 * 1024 * 1024;
    for window in [INITIAL_WINDOW, INITIAL_WINDOW + STREAM_WINDOW] {
        let stream = inbound();
        let pieces = window as usize / 1024;
        let ((), Memory { held, .. }) = memory_of(|| {
            for piece in 0..pieces {
                stream.receive(1024 * piece as u64, content(1024 * piece as u64, 1024)).unwrap();
                if stream.received() == INITIAL_WINDOW && window > INITIAL_WINDOW {
                    take_all(&stream);
                }
            }
            let beyond = |end| StreamError::BeyondLimit { end, limit: window };
            assert_eq!(stream.receive(window, content(window, 1)), Err(beyond(window + 1)));
            for offset in (window..window + EXCESS as u64).step_by(DATA_PAYLOAD) {
                assert!(stream.receive(offset, Bytes::from(vec![b'x'; DATA_PAYLOAD])).is_err());
            }
            assert!(stream.receive(window, Bytes::from(vec![b'x'; EXCESS])).is_err());
        });
        assert!(held <= window as isize + 64 * 1024, "{held} bytes held for a window of {window}");
        assert_eq!(stream.received(), window);
    }
}

#[test]
fn an_offset_or_a_length_that_overflows_is_refused() {
    let stream = inbound();
    for offset in [1, u64::MAX - 1, u64::MAX] {
        assert_eq!(stream.receive(offset, content(0, 5)), Err(StreamError::Gap { offset, received: 0 }));
    }
    stream.receive(0, content(0, 5)).unwrap();
    for total in [0, 4, 6, u64::MAX] {
        assert_eq!(stream.finish(total), Err(StreamError::WrongTotal { total, received: 5 }));
    }
    let sender = Outbound::default();
    sender.send(10).unwrap();
    for ack in [
        Ack { received: u64::MAX, limit: u64::MAX, consumed: 0 },
        Ack { received: 11, limit: u64::MAX, consumed: 0 },
        Ack { received: 10, limit: INITIAL_WINDOW - 1, consumed: 0 },
        Ack { received: 10, limit: INITIAL_WINDOW, consumed: u64::MAX },
    ] {
        assert_eq!(sender.acknowledge(ack), Err(StreamError::ImpossibleAck), "{ack:?}");
    }
    // The largest limit there is overflows nothing.
    sender.acknowledge(Ack { received: 10, limit: u64::MAX, consumed: 10 }).unwrap();
    assert_eq!(poll_once(sender.credit()), Poll::Ready(Ok(u64::MAX - 10)));
    assert_eq!(sender.send(usize::MAX), None);
}

#[test]
fn a_budget_is_taken_once_per_stream_and_given_back_with_it() {
    let server = Budget::new(2 * EXTRA);
    let connection = server.child(10 * EXTRA);
    let streams: Vec<_> = (0..3).map(|_| Inbound::new(connection.clone())).collect();
    let limits: Vec<_> = streams.iter().map(fill_and_deliver).collect();
    assert_eq!(limits, [STREAM_WINDOW, STREAM_WINDOW, INITIAL_WINDOW].map(|window| INITIAL_WINDOW + window));
    assert_eq!((server.left(), connection.left()), (0, 8 * EXTRA));
    let mut streams = streams.into_iter();
    drop(streams.next());
    assert_eq!((server.left(), connection.left()), (EXTRA, 9 * EXTRA));
    // The one that got nothing gets it now.
    let poor = streams.next_back().unwrap();
    assert_eq!(fill_and_deliver(&poor), 2 * INITIAL_WINDOW + STREAM_WINDOW);
    assert_eq!(server.left(), 0);
    let clone = poor.clone();
    drop((poor, streams));
    assert_eq!(server.left(), EXTRA, "a clone is the same stream");
    drop(clone);
    assert_eq!((server.left(), connection.left()), (2 * EXTRA, 10 * EXTRA));
}

/// Receives one initial window, hands it on, and says how far the sender may go now.
fn fill_and_deliver(stream: &Inbound) -> u64 {
    let len = INITIAL_WINDOW as usize;
    stream.receive(stream.received(), content(stream.received(), len)).unwrap();
    while let Poll::Ready(Some(_)) = poll_once(stream.next()) {}
    stream.delivered(len).unwrap().limit
}

#[test]
fn a_stream_that_has_ended_borrows_nothing() {
    let budget = Budget::new(EXTRA);
    let stream = Inbound::new(budget.clone());
    stream.receive(0, content(0, 100)).unwrap();
    stream.finish(100).unwrap();
    assert_eq!(stream.delivered(100), None);
    assert_eq!(budget.left(), EXTRA);
}

/// What a consumer that waits gets from what `act` does.
async fn woken_by(act: impl Fn(&Inbound)) -> Option<Bytes> {
    let stream = inbound();
    // A wait that is dropped must not take the news with it.
    assert_eq!(poll_once(stream.next()), Poll::Pending);
    let (next, ()) = soon(async { tokio::join!(stream.next(), async { act(&stream) }) }).await;
    if next.is_none() {
        assert_eq!(stream.next().await, None, "the end comes again");
    }
    next
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_waits_is_woken_by_bytes_the_end_a_stop_and_a_lost_connection() {
    let bytes = woken_by(|stream| stream.receive(0, content(0, 3)).unwrap()).await;
    assert_eq!(bytes, Some(content(0, 3)));
    assert_eq!(woken_by(|stream| stream.finish(0).unwrap()).await, None);
    assert_eq!(woken_by(|stream| assert!(stream.stop())).await, None);
    assert_eq!(woken_by(Inbound::abandon).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_leaves_what_was_received() {
    let stream = inbound();
    stream.receive(0, content(0, 20_000)).unwrap();
    stream.receive(20_000, content(20_000, 10)).unwrap();
    stream.abandon();
    assert_eq!(stream.next().await.unwrap(), content(0, 20_000));
    assert_eq!(stream.next().await.unwrap(), content(20_000, 10));
    assert_eq!(stream.next().await, None);
    assert!(!stream.is_ended(), "a lost connection is no end");
}

#[tokio::test(start_paused = true)]
async fn a_stop_drops_what_is_queued_and_what_still_comes() {
    let stream = inbound();
    stream.receive(0, content(0, 20_000)).unwrap();
    stream.receive(20_000, content(20_000, 10)).unwrap();
    assert!(stream.stop());
    assert!(!stream.stop(), "the peer is told once");
    stream.receive(20_010, content(20_010, 5)).unwrap();
    assert_eq!(stream.next().await, None);
    assert_eq!(stream.received(), 20_015);
    stream.finish(20_015).unwrap();
    assert!(stream.is_ended());
    assert_eq!(stream.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_for_credit_and_gets_it_with_an_acknowledgement() {
    let stream = Outbound::default();
    assert_eq!(stream.credit().await, Ok(INITIAL_WINDOW));
    assert_eq!(stream.send(INITIAL_WINDOW as usize), Some(0));
    assert_eq!(poll_once(stream.credit()), Poll::Pending);
    let ack = Ack { received: 100, limit: INITIAL_WINDOW + 7, consumed: 5 };
    let acknowledge = async { stream.acknowledge(ack).unwrap() };
    let wait = async { tokio::join!(stream.credit(), stream.consumed_beyond(0), acknowledge) };
    let (credit, consumed, ()) = soon(wait).await;
    assert_eq!((credit, consumed), (Ok(7), 5));
    assert_eq!(poll_once(stream.consumed_beyond(5)), Poll::Pending);
    assert_eq!(stream.acknowledge(Ack { consumed: 4, ..ack }), Err(StreamError::ImpossibleAck));
    assert_eq!(
        (stream.send(8), stream.send(7), stream.sent()),
        (None, Some(INITIAL_WINDOW), INITIAL_WINDOW + 7)
    );
    assert_eq!((stream.finish(), stream.finish()), (Some(INITIAL_WINDOW + 7), None));
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_is_told_to_stop() {
    let stream = Outbound::default();
    stream.send(INITIAL_WINDOW as usize).unwrap();
    assert_eq!(poll_once(stream.stopped()), Poll::Pending);
    let wait = async { tokio::join!(stream.credit(), stream.stopped(), async { stream.stop() }) };
    let (credit, stopped, ()) = soon(wait).await;
    assert_eq!((credit, stopped), (Err(Stopped), Stopped));
    assert_eq!((stream.credit().await, stream.send(1)), (Err(Stopped), None));
    assert_eq!(stream.finish(), Some(INITIAL_WINDOW));
}

/// Sends content up to `total` in pieces of random length, as the credit allows.
async fn produce(stream: Outbound, total: u64, wire: mpsc::Sender<(u64, Bytes)>, mut random: Random) {
    while stream.sent() < total {
        let credit = stream.credit().await.unwrap().min(total - stream.sent());
        let most = [50, 5000, DATA_PAYLOAD as u64][random.below(3) as usize];
        let len = (1 + random.below(most)).min(credit) as usize;
        let offset = stream.send(len).unwrap();
        wire.send((offset, content(offset, len))).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_through_two_tasks_and_never_holds_more_than_its_window() {
    const TOTAL: u64 = 7_654_321;
    for (seed, budget) in [(1, EXTRA), (2, 0)] {
        let (sender, receiver) = (Outbound::default(), Inbound::new(Budget::new(budget)));
        let (wire, mut arriving) = mpsc::channel(4);
        let producer = tokio::spawn(produce(sender.clone(), TOTAL, wire, Random::new(seed)));
        let inbound = receiver.clone();
        let reader = tokio::spawn(async move {
            while let Some((offset, bytes)) = arriving.recv().await {
                inbound.receive(offset, bytes).unwrap();
            }
            inbound.finish(TOTAL).unwrap();
        });
        let mut taken = 0;
        while let Some(piece) = soon(receiver.next()).await {
            assert!(receiver.received() - taken <= INITIAL_WINDOW + budget, "more than the window is queued");
            assert!(piece == content(taken, piece.len()), "wrong bytes at {taken}");
            taken += piece.len() as u64;
            if let Some(ack) = receiver.delivered(piece.len()) {
                sender.acknowledge(ack).unwrap();
            }
        }
        assert_eq!((taken, sender.finish()), (TOTAL, Some(TOTAL)));
        producer.await.unwrap();
        reader.await.unwrap();
    }
}
