//! A hundred thousand random histories of one stream: sends, late acknowledgements, breaks, resumes and repeats, skips, stops, lies.
//! What must hold after every step stands in `support/stream_pair.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/random.rs"]
mod random;
#[path = "support/stream_pair.rs"]
mod stream_pair;

use common::limits::{DATA_PAYLOAD, INITIAL_WINDOW, STREAM_WINDOW};
use common::packet::Ack;
use common::stream::{ReceiveState, SendState, StreamError};

use random::{Random, SeedOnPanic};
use stream_pair::StreamPair;

/// One history; the same seed gives the same one.
fn history(seed: u64) {
    let _seed = SeedOnPanic(seed);
    let mut random = Random::new(seed);
    // Most streams fit their first window; some need many.
    let most = [2, 1000, INITIAL_WINDOW, 4 * INITIAL_WINDOW, 3 * STREAM_WINDOW][random.below(5) as usize];
    let mut stream = StreamPair::new(random.below(most));
    for _ in 0..random.below(200) {
        stream.apply(random.next() as u8, random.next() as u32);
    }
    stream.settle();
}

#[test]
fn a_hundred_thousand_histories_keep_every_promise() {
    std::thread::scope(|scope| {
        scope.spawn(|| (0..50_000).for_each(history));
        scope.spawn(|| (50_000..100_000).for_each(history));
    });
}

/// Histories of which every fourth step is the end of a connection.
fn broken_history(seed: u64) {
    let _seed = SeedOnPanic(seed);
    let mut random = Random::new(seed);
    let most = [1000, INITIAL_WINDOW, 3 * STREAM_WINDOW][random.below(3) as usize];
    let mut stream = StreamPair::new(random.below(most));
    for _ in 0..random.below(200) {
        let selector = if random.below(4) == 0 { stream_pair::RESUME } else { random.next() as u8 };
        stream.apply(selector, random.next() as u32);
    }
    stream.settle();
}

#[test]
fn a_stream_whose_connections_do_not_last_arrives_whole() {
    (0..20_000).for_each(broken_history);
}

#[test]
fn an_acknowledgement_may_be_under_way_when_the_sender_leaves_something_out() {
    let (mut sender, mut receiver) = (SendState::default(), ReceiveState::default());
    let len = INITIAL_WINDOW as usize;
    receiver.receive(sender.send(len).unwrap(), len).unwrap();
    receiver.deliver(len, INITIAL_WINDOW);
    let under_way = receiver.due_ack().unwrap();
    sender.skip(3 * INITIAL_WINDOW);
    assert_eq!(sender.acknowledge(under_way), Ok(()));
    // Whether the receiver has counted what was left out or not, the sender may go on once it has.
    receiver.skip(3 * INITIAL_WINDOW).unwrap();
    sender.acknowledge(receiver.due_ack().unwrap()).unwrap();
    assert!(sender.credit() > 0);
    let len = sender.credit() as usize;
    assert_eq!(receiver.receive(sender.send(len).unwrap(), len), Ok(0));
}

#[test]
fn a_sender_that_has_ended_ends_again_after_a_resume_and_one_that_was_stopped_does_not() {
    let (mut sender, mut receiver) = (SendState::default(), ReceiveState::default());
    sender.send(100).unwrap();
    assert_eq!(sender.finish(), Some(100));
    receiver.receive(0, 60).unwrap();
    sender.resume(receiver.resume()).unwrap();
    assert!(!sender.is_ended());
    assert_eq!((sender.send(40), sender.finish()), (Some(60), Some(100)));
    sender.stop();
    sender.resume(receiver.resume()).unwrap();
    assert_eq!((sender.is_stopped(), sender.credit(), sender.send(1)), (true, 0, None));
}

#[test]
fn a_sender_that_takes_the_place_of_another_takes_what_was_under_way_to_that_one() {
    let (mut first, mut receiver) = (SendState::default(), ReceiveState::default());
    let len = INITIAL_WINDOW as usize;
    receiver.receive(first.send(len).unwrap(), len).unwrap();
    let heard = receiver.resume();
    receiver.deliver(len, INITIAL_WINDOW);
    let under_way = receiver.due_ack().unwrap();
    let mut second = SendState::starting_at(first.sent(), 0);
    second.succeed(Ack { received: 10, limit: INITIAL_WINDOW, consumed: 0 });
    assert_eq!((second.sent(), second.received(), second.credit()), (first.sent(), 10, 0));
    assert_eq!(second.acknowledge(heard), Ok(()));
    assert_eq!(second.acknowledge(under_way), Ok(()));
    assert_eq!(receiver.receive(second.send(len).unwrap(), len), Ok(0));
    // No word of the receiver can have it believe in more than was sent.
    let mut deceived = SendState::starting_at(10, 5);
    deceived.succeed(Ack { received: 99, limit: 3, consumed: 98 });
    assert_eq!((deceived.received(), deceived.consumed(), deceived.credit()), (10, 10, 5));
}

#[test]
fn a_stream_that_begins_somewhere_has_its_first_window_from_there() {
    let at = 7 * STREAM_WINDOW;
    let (mut sender, mut receiver) = (SendState::starting_at(at, 10), ReceiveState::starting_at(at));
    assert_eq!((sender.credit(), sender.sent(), receiver.received()), (10, at, at));
    assert_eq!(receiver.resume(), Ack { received: at, limit: at + INITIAL_WINDOW, consumed: 0 });
    assert_eq!(receiver.receive(0, 1), Ok(1), "a byte before the beginning is a repetition");
    assert_eq!(receiver.receive(sender.send(10).unwrap(), 10), Ok(0));
    assert_eq!(sender.send(1), None);
    // The largest offset and window there are overflow nothing.
    assert_eq!(SendState::starting_at(u64::MAX, u64::MAX).credit(), 0);
    assert_eq!(ReceiveState::starting_at(u64::MAX).received(), u64::MAX);
}

#[test]
fn a_stream_of_a_gigabyte_goes_through_either_window() {
    for window in [INITIAL_WINDOW, STREAM_WINDOW] {
        let (mut sender, mut receiver) = (SendState::default(), ReceiveState::default());
        let (mut frames, mut acks) = (0, 0);
        while receiver.received() < 1 << 30 {
            let len = sender.credit().min(DATA_PAYLOAD as u64) as usize;
            assert!(len > 0, "the sender waits at {}", sender.sent());
            let offset = sender.send(len).unwrap();
            assert_eq!(receiver.receive(offset, len), Ok(0));
            receiver.deliver(len, window);
            frames += 1;
            if let Some(ack) = receiver.due_ack() {
                sender.acknowledge(ack).unwrap();
                acks += 1;
            }
        }
        assert!(
            acks <= frames,
            "more acknowledgements ({acks}) than data ({frames}) with a window of {window}"
        );
    }
}

/// A receiver whose sender may send on as far as it likes, pages of which it has handed on all but so many bytes: of 1,000 pages,
/// those after which it acknowledges.
fn acknowledges(behind: usize) -> Vec<u64> {
    let mut receiver = ReceiveState::default();
    let initial = INITIAL_WINDOW as usize;
    receiver.receive(0, initial).unwrap();
    receiver.deliver(initial, STREAM_WINDOW);
    let limit = INITIAL_WINDOW + STREAM_WINDOW;
    assert_eq!(receiver.due_ack(), Some(Ack { received: INITIAL_WINDOW, limit, consumed: 0 }));
    receiver.receive(receiver.received(), behind).unwrap();
    let mut page = |_: &u64| {
        receiver.receive(receiver.received(), 4096).unwrap();
        receiver.deliver(4096, STREAM_WINDOW);
        receiver.due_ack().is_some()
    };
    (1..=1000).filter(|number| page(number)).collect()
}

#[test]
fn a_receiver_that_has_something_left_acknowledges_a_quarter_of_the_window_at_a_time() {
    let pages = STREAM_WINDOW / 4 / 4096;
    assert_eq!(acknowledges(1), (1..=1000 / pages).map(|number| number * pages).collect::<Vec<_>>());
}

/// Its sender may have no memory for more than that, and waits.
#[test]
fn a_receiver_that_has_taken_everything_acknowledges_a_first_window_at_a_time() {
    let pages = INITIAL_WINDOW / 4096;
    assert_eq!(acknowledges(0), (1..=1000 / pages).map(|number| number * pages).collect::<Vec<_>>());
}

#[test]
fn the_first_use_of_a_byte_is_told_at_once_and_the_next_ones_with_the_window() {
    let mut receiver = ReceiveState::default();
    receiver.receive(0, 100).unwrap();
    receiver.deliver(100, INITIAL_WINDOW);
    assert_eq!(receiver.due_ack(), None, "a hundred bytes are not worth a frame");
    receiver.consume(1);
    assert_eq!(receiver.due_ack(), Some(Ack { received: 100, limit: INITIAL_WINDOW + 100, consumed: 1 }));
    receiver.consume(2);
    assert_eq!(receiver.due_ack(), None);
}

#[test]
fn a_stopped_stream_counts_what_still_comes_and_ends_with_its_total() {
    let (mut sender, mut receiver) = (SendState::default(), ReceiveState::default());
    assert_eq!(receiver.receive(sender.send(1000).unwrap(), 1000), Ok(0));
    assert!(receiver.stop() && receiver.is_stopped());
    assert!(!receiver.stop(), "the sender was to be told twice");
    assert_eq!(
        receiver.receive(sender.send(1000).unwrap(), 1000),
        Ok(1000),
        "bytes that nobody wants were kept"
    );
    sender.stop();
    assert!(sender.is_stopped());
    assert_eq!((sender.credit(), sender.send(1)), (0, None));
    assert_eq!(receiver.finish(1000), Err(StreamError::WrongTotal { total: 1000, received: 2000 }));
    assert_eq!(sender.finish(), Some(2000));
    assert_eq!(receiver.finish(2000), Ok(()));
    assert!(receiver.is_ended() && receiver.is_stopped() && !sender.is_stopped());
    assert_eq!(receiver.receive(2000, 1), Err(StreamError::AfterEnd));
}

#[test]
fn a_sender_may_use_its_whole_window_and_not_one_byte_more() {
    let window = INITIAL_WINDOW as usize;
    let (mut sender, mut receiver) = (SendState::default(), ReceiveState::default());
    assert_eq!(sender.send(window + 1), None);
    assert_eq!(sender.send(window), Some(0));
    assert_eq!((sender.credit(), sender.send(1)), (0, None));
    let beyond = StreamError::BeyondLimit { end: INITIAL_WINDOW + 1, limit: INITIAL_WINDOW };
    assert_eq!(receiver.receive(0, window + 1), Err(beyond));
    assert_eq!(receiver.receive(0, window), Ok(0));
    assert_eq!(receiver.receive(0, window), Ok(window), "a repetition is dropped");
    assert_eq!(receiver.receive(INITIAL_WINDOW, 0), Ok(0));
}
