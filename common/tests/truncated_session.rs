//! A whole session, cut at every byte, read a byte at a time, read by someone who keeps giving up: what was complete
//! comes out, once and in order, and the rest is a typed error.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/hex.rs"]
mod hex;
#[path = "support/random.rs"]
mod random;
#[path = "support/rows.rs"]
mod rows;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use common::connection::{ConnectionError, PacketReader, packet_bytes};
use common::frame::{HEADER_LEN, JobNumber, Kind, StreamId};
use common::limits;
use common::message::{ClientMessage, Message, ServerMessage};
use common::packet::{Packet, PacketError};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use random::{Random, SeedOnPanic};
use rows::{Row, client_rows, server_rows};

/// Packets, their bytes, and where in the bytes each of them ends.
struct Session<M> {
    packets: Vec<Packet<M>>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<M: Message + Clone> Session<M> {
    fn new(rows: Vec<Row<M>>) -> Self {
        let mut session = Self { packets: Vec::new(), bytes: Vec::new(), ends: Vec::new() };
        for row in rows {
            session.packets.push(row.packet);
            session.bytes.extend(row.bytes);
            session.ends.push(session.bytes.len());
        }
        session
    }

    /// With payloads in its midst that are read straight into memory of their own, and one that just is not.
    fn with_large(mut rows: Vec<Row<M>>) -> Self {
        let middle = rows.len() / 2;
        rows.insert(middle, data(limits::DATA_PAYLOAD));
        rows.insert(middle + 2, data(16 * 1024));
        rows.insert(middle + 3, data(16 * 1024 + 1));
        Self::new(rows)
    }

    /// How many packets are whole in the first `len` bytes, and whether the last of them ends there.
    fn whole(&self, len: usize) -> (usize, bool) {
        let whole = self.ends.partition_point(|end| *end <= len);
        (whole, len == whole.checked_sub(1).map_or(0, |last| self.ends[last]))
    }

    /// Every place for a cut, but of large payloads only the edges and every 997th byte.
    fn cuts(&self) -> Vec<usize> {
        let near = |cut: usize| self.ends.iter().any(|end| end.abs_diff(cut) < 200);
        (0..=self.bytes.len()).filter(|cut| cut % 997 == 0 || near(*cut)).collect()
    }
}

fn data<M: Message + Clone>(len: usize) -> Row<M> {
    let stream = StreamId::ALL.into_iter().find(|stream| M::sends(*stream)).unwrap();
    let bytes: Bytes = (0..len).map(|at| (at % 251) as u8).collect();
    let packet = Packet::Data { job: JobNumber(1), stream, offset: 7, bytes };
    Row { packet: packet.clone(), bytes: packet_bytes(packet).unwrap().to_vec() }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Reads packets until there are no more, comparing each with `expected`; how many, and how it ended.
async fn read_all<M: Message + PartialEq + Debug>(
    source: impl AsyncRead + Unpin,
    expected: &[Packet<M>],
) -> (usize, Result<(), ConnectionError>) {
    let mut reader = PacketReader::new(source);
    let mut count = 0;
    loop {
        match reader.next().await {
            Ok(Some(packet)) => assert_eq!(Some(&packet), expected.get(count), "packet {count}"),
            Ok(None) => return (count, Ok(())),
            Err(error) => return (count, Err(error)),
        }
        count += 1;
    }
}

fn assert_cut<M: Message + Clone>(
    session: &Session<M>,
    cut: usize,
    read: (usize, Result<(), ConnectionError>),
) {
    let (whole, on_boundary) = session.whole(cut);
    assert_eq!(read.0, whole, "packets before a cut at {cut}");
    match read.1 {
        Ok(()) => assert!(on_boundary, "a cut at {cut} went unnoticed"),
        Err(ConnectionError::Truncated) => assert!(!on_boundary, "a cut at {cut} is between two frames"),
        Err(error) => panic!("a cut at {cut}: {error}"),
    }
}

fn cut_everywhere<M: Message + Clone + PartialEq + Debug>(session: &Session<M>) {
    let cuts = session.cuts();
    assert!(cuts.len() > 500 && cuts.last() == Some(&session.bytes.len()));
    runtime().block_on(async {
        for cut in cuts {
            let read = read_all(&session.bytes[..cut], &session.packets).await;
            assert_cut(session, cut, read);
        }
    });
}

#[test]
fn a_session_cut_anywhere_yields_what_was_whole() {
    cut_everywhere(&Session::new(client_rows()));
    cut_everywhere(&Session::new(server_rows()));
}

#[test]
fn a_session_with_large_payloads_cut_anywhere_yields_what_was_whole() {
    cut_everywhere(&Session::with_large(client_rows()));
    cut_everywhere(&Session::with_large(server_rows()));
}

/// Gives one byte, then makes the reader wait, then gives the next.
struct Dripping<'a> {
    bytes: &'a [u8],
    waits: bool,
}

impl AsyncRead for Dripping<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.waits = !self.waits;
        if self.waits {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some((first, rest)) = self.bytes.split_first() {
            buf.put_slice(&[*first]);
            self.bytes = rest;
        }
        Poll::Ready(Ok(()))
    }
}

fn cut_while_dripping<M: Message + Clone + PartialEq + Debug>(session: &Session<M>) {
    runtime().block_on(async {
        for cut in 0..=session.bytes.len() {
            let source = Dripping { bytes: &session.bytes[..cut], waits: false };
            let read = read_all(source, &session.packets).await;
            assert_cut(session, cut, read);
        }
    });
}

#[test]
fn a_session_that_comes_by_single_bytes_and_is_cut_anywhere_yields_what_was_whole() {
    cut_while_dripping(&Session::new(client_rows()));
    cut_while_dripping(&Session::new(server_rows()));
}

#[test]
fn large_payloads_may_come_by_single_bytes() {
    let session = Session::with_large(client_rows());
    let source = Dripping { bytes: &session.bytes, waits: false };
    let read = runtime().block_on(read_all(source, &session.packets));
    assert_cut(&session, session.bytes.len(), read);
}

/// Polls once and drops the future, as `select!` does with a branch that loses.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Writes `session` in pieces of `step` bytes; between any two the reader's future is polled and dropped.
fn read_by_giving_up<M: Message>(session: &Session<M>, step: usize) -> Vec<Packet<M>> {
    let (mut near, far) = tokio::io::duplex(step);
    let mut reader = PacketReader::new(far);
    let mut packets = Vec::new();
    for piece in session.bytes.chunks(step) {
        assert!(matches!(poll_once(near.write_all(piece)), Poll::Ready(Ok(()))), "bytes were left unread");
        while let Poll::Ready(packet) = poll_once(reader.next()) {
            packets.push(packet.unwrap().unwrap());
        }
    }
    drop(near);
    assert!(matches!(poll_once(reader.next()), Poll::Ready(Ok(None))));
    packets
}

#[test]
fn a_reader_that_is_dropped_while_it_waits_loses_nothing() {
    let small = Session::new(server_rows());
    for step in 1..50 {
        assert!(read_by_giving_up(&small, step) == small.packets, "steps of {step}");
    }
    let large = Session::with_large(client_rows());
    for step in [1, 1000, 4096, 16 * 1024, 20_001] {
        assert!(read_by_giving_up(&large, step) == large.packets, "steps of {step}");
    }
}

/// Gives its bytes in reads of random lengths.
struct Ragged<'a> {
    bytes: &'a [u8],
    random: Random,
}

impl AsyncRead for Ragged<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = [100, 5000, usize::MAX][self.random.below(3) as usize];
        let len = most.min(buf.remaining()).min(self.bytes.len());
        let (first, rest) = self.bytes.split_at(len);
        buf.put_slice(first);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}

#[test]
fn payloads_of_every_size_come_through_reads_of_every_size() {
    for seed in 0..60 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        // Around the sizes at which the reader does something else.
        let rows = (0..60).map(|_| {
            let near = [40, 4096, 16 * 1024, 20 * 1024, 40_000][random.below(5) as usize];
            data::<ServerMessage>(near - 40 + random.below(80) as usize + 1)
        });
        let session = Session::new(rows.collect());
        let source = Ragged { bytes: &session.bytes, random };
        let read = runtime().block_on(read_all(source, &session.packets));
        assert_cut(&session, session.bytes.len(), read);
    }
}

#[test]
fn a_frame_that_is_out_of_place_is_refused_by_its_header_alone() {
    let hello = client_rows().into_iter().find(|row| matches!(row.packet, Packet::Hello(_))).unwrap();
    let start = packet_bytes(data::<ClientMessage>(limits::DATA_PAYLOAD).packet).unwrap();
    let (mut near, far) = tokio::io::duplex(4096);
    let mut reader = PacketReader::<_, ClientMessage>::new(far);
    let arriving = [&hello.bytes, &start[..HEADER_LEN]].concat();
    assert!(matches!(poll_once(near.write_all(&arriving)), Poll::Ready(Ok(()))));
    let Poll::Ready(Ok(Some(packet))) = poll_once(reader.next_of(&[Kind::Hello])) else {
        panic!("no greeting")
    };
    assert_eq!(packet, hello.packet, "what stands behind a greeting does not spoil it");
    for _ in 0..2 {
        let Poll::Ready(Err(error)) = poll_once(reader.next_of(&[Kind::Hello, Kind::Close])) else {
            panic!("data in place of a greeting");
        };
        let expected = PacketError::OutOfPlace { kind: Kind::Data };
        assert!(matches!(&error, ConnectionError::Packet(found) if *found == expected), "{error}");
    }
}

#[test]
fn what_is_not_telex_stays_to_be_looked_at() {
    runtime().block_on(async {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut reader = PacketReader::<_, ClientMessage>::new(&text[..]);
        let error = reader.next().await.unwrap_err();
        assert!(error.is_violation(), "{error}");
        assert_eq!(reader.unread(), text);
    });
}
