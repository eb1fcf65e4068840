//! The writing half of a connection: packets come out whole, ordered ones in order, control ones first, and a peer
//! that does not read is given up.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::time::Duration;

use bytes::Bytes;
use common::connection::{Closed, ConnectionError, PacketReader, PacketSender, packet_queue};
use common::frame::{JobNumber, StreamId};
use common::job::{ByteString, Program, Signal, Spec};
use common::limits;
use common::message::{AttachmentId, ClientMessage, Order, Start};
use common::packet::{Ack, Packet};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::{self, Instant};

type ClientPacket = Packet<ClientMessage>;

fn data(offset: u64, len: usize) -> ClientPacket {
    let bytes: Bytes = (0..len).map(|at| (offset as usize + at) as u8).collect();
    Packet::Data { job: JobNumber(1), stream: StreamId::Stdin, offset, bytes }
}

fn ack(received: u64) -> ClientPacket {
    let ack = Ack { received, limit: received, consumed: 0 };
    Packet::Ack { job: JobNumber(1), stream: StreamId::Stdout, ack }
}

/// With a paused clock the day is over as soon as everyone waits for someone else.
async fn soon<F: Future>(future: F) -> F::Output {
    time::timeout(Duration::from_secs(24 * 3600), future).await.unwrap()
}

async fn read_all(source: DuplexStream) -> Vec<ClientPacket> {
    let mut reader = PacketReader::new(source);
    let mut packets = Vec::new();
    while let Some(packet) = soon(reader.next()).await.unwrap() {
        packets.push(packet);
    }
    packets
}

/// Lengths around every threshold on the way: empty gaps, copied pieces, large ones, more than one batch.
const LENGTHS: [usize; 9] =
    [1, 4095, 4096, 16 * 1024, 1, limits::DATA_PAYLOAD, limits::DATA_PAYLOAD, 70_000, 2];

async fn send_ordered(sender: &PacketSender<ClientMessage>, longest: usize) -> Vec<ClientPacket> {
    let mut sent = Vec::new();
    for len in LENGTHS.repeat(3) {
        let packet = data(sent.len() as u64, len.min(longest));
        sender.send(packet.clone()).await.unwrap();
        sent.push(packet);
    }
    sent
}

async fn send_control(sender: &PacketSender<ClientMessage>) -> Vec<ClientPacket> {
    let mut sent = Vec::new();
    for number in 0..600 {
        sender.send_control(ack(number)).await.unwrap();
        sent.push(ack(number));
        if number % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn packets_of_both_queues_come_out_whole_and_each_queue_in_order() {
    for (pipe, longest) in [(1, 4096), (19, 20_000), (4096, usize::MAX), (1 << 20, usize::MAX)] {
        let (near, far) = tokio::io::duplex(pipe);
        let (sender, writer) = packet_queue();
        let control_sender = sender.clone();
        let ordered = async move { send_ordered(&sender, longest).await };
        let control = async move { send_control(&control_sender).await };
        let (written, read, ordered, control) =
            tokio::join!(writer.run(near, limits::WRITE_STALL), read_all(far), ordered, control);
        written.unwrap();
        let (read_control, read_ordered): (Vec<_>, Vec<_>) =
            read.into_iter().partition(|packet| matches!(packet, Packet::Ack { .. }));
        assert!(read_ordered == ordered, "ordered packets through {pipe} bytes");
        assert!(read_control == control, "control packets through {pipe} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn control_packets_overtake_what_is_queued() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (sender, writer) = packet_queue();
    for offset in 0..limits::ORDERED_QUEUE {
        sender.send(data(offset as u64, 100)).await.unwrap();
    }
    let interrupt = ClientMessage::Order { sequence: 1, order: Order::Signal(Signal::INT) };
    let signal = Packet::Message { job: JobNumber(1), message: interrupt };
    sender.send_control(signal.clone()).await.unwrap();
    sender.send_control(ack(0)).await.unwrap();
    drop(sender);
    writer.run(near, limits::WRITE_STALL).await.unwrap();
    let packets = read_all(far).await;
    assert_eq!(packets.len(), limits::ORDERED_QUEUE + 2);
    assert!(packets.starts_with(&[signal, ack(0)]), "{packets:?}");
}

#[tokio::test(start_paused = true)]
async fn full_queues_take_no_more() {
    let (sender, writer) = packet_queue();
    for number in 0..limits::CONTROL_QUEUE as u64 {
        sender.try_send_control(ack(number)).unwrap();
    }
    assert_eq!(sender.try_send_control(ack(9)), Err(ack(9)));
    for offset in 0..limits::ORDERED_QUEUE {
        sender.reserve().await.unwrap().send(data(offset as u64, 1));
    }
    assert_eq!(sender.try_send(data(9, 1)), Err(data(9, 1)));
    let mut waiting = std::pin::pin!(sender.send(data(9, 1)));
    tokio::select! {
        biased;
        result = &mut waiting => panic!("there was room: {result:?}"),
        () = tokio::task::yield_now() => {}
    }
    drop(writer);
    assert_eq!(waiting.await, Err(Closed));
    assert_eq!(sender.try_send_control(ack(9)), Err(ack(9)));
    sender.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_knows_its_own_queues_from_others() {
    let (one, _writer) = packet_queue::<ClientMessage>();
    let (other, _other_writer) = packet_queue();
    assert!(one.is_same(&one.clone()) && !one.is_same(&other));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_given_up() {
    let (near, _far) = tokio::io::duplex(1000);
    let (sender, writer) = packet_queue();
    sender.send(data(0, 10_000)).await.unwrap();
    let start = Instant::now();
    let error = writer.run(near, limits::WRITE_STALL).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Stalled), "{error}");
    assert_eq!(start.elapsed(), limits::WRITE_STALL);
    assert_eq!(sender.send(data(0, 1)).await, Err(Closed));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_is_not_given_up() {
    let (near, mut far) = tokio::io::duplex(10);
    let (sender, writer) = packet_queue();
    sender.send(data(0, 100)).await.unwrap();
    drop(sender);
    let read = async {
        let mut tick = time::interval(limits::WRITE_STALL - Duration::from_secs(1));
        let mut count = 0;
        loop {
            tick.tick().await;
            match far.read(&mut [0; 3]).await.unwrap() {
                0 => return count,
                read => count += read,
            }
        }
    };
    let (written, read) = tokio::join!(writer.run(near, limits::WRITE_STALL), read);
    written.unwrap();
    assert_eq!(read, 120);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_is_not_given_up() {
    let (near, far) = tokio::io::duplex(1000);
    let (sender, writer) = packet_queue();
    let talk = async move {
        let mut tick = time::interval(10 * limits::WRITE_STALL);
        for offset in 0..3 {
            tick.tick().await;
            sender.send(data(offset, 1)).await.unwrap();
        }
    };
    let (written, read, ()) = tokio::join!(writer.run(near, limits::WRITE_STALL), read_all(far), talk);
    written.unwrap();
    assert_eq!(read.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_ends_the_writer() {
    let (near, far) = tokio::io::duplex(1000);
    let (sender, writer) = packet_queue();
    drop(far);
    sender.send(data(0, 1)).await.unwrap();
    let error = writer.run(near, limits::WRITE_STALL).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Io(_)), "{error}");
    sender.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_over_its_limit_is_an_error_and_writes_nothing() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (sender, writer) = packet_queue();
    let spec = Spec::new(Program::Shell(ByteString(vec![b'x'; limits::REQUEST_PAYLOAD])));
    let start = Start::new("long".parse().unwrap(), AttachmentId(1), spec).unwrap();
    let message = ClientMessage::Start(start);
    sender.send(Packet::Message { job: JobNumber(1), message }).await.unwrap();
    drop(sender);
    let error = writer.run(near, limits::WRITE_STALL).await.unwrap_err();
    assert!(matches!(error, ConnectionError::Unsendable(_)), "{error}");
    assert_eq!(read_all(far).await, []);
}
