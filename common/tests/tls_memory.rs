//! What a stranger can make TLS hold: a record and what is made of it, however long a handshake claims to be.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/recording_allocator.rs"]
mod recording_allocator;
mod support {
    pub(crate) mod tls;
}

use common::tls::{ClientTls, ServerHandshake, ServerTls, TlsError, connect};
use recording_allocator::{Memory, memory_of};
use support::tls::{TestKey, pair, tcp_pair};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Twice the largest record, as queues of bytes grow.
const LARGEST_BLOCK: usize = 2 * (5 + 16 * 1024 + 256) + 4 * 1024;

/// Beside it, for a whole handshake.
const HELD: isize = 96 * 1024;

/// Records of a handshake message that claims `claimed` bytes, in pieces of `piece`.
fn records(message: u8, claimed: u32, piece: usize) -> Vec<u8> {
    let mut content = claimed.to_be_bytes().to_vec();
    content[0] = message;
    content.resize(4 + 80_000, 0);
    let record = |piece: &[u8]| [&[22, 3, 3], &(piece.len() as u16).to_be_bytes()[..], piece].concat();
    content.chunks(piece).flat_map(record).collect()
}

/// Sends all of `bytes`, as far as anybody takes them.
async fn pour(mut stream: TcpStream, bytes: Vec<u8>) {
    stream.write_all(&bytes).await.ok();
}

#[test]
fn an_honest_handshake_stays_within_the_same_bounds() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let (ends, Memory { largest, held }) = memory_of(|| runtime.block_on(pair()));
    assert!(largest <= LARGEST_BLOCK && held < 2 * HELD, "{largest} bytes at once, {held} kept");
    drop(ends);
}

#[test]
fn a_handshake_message_longer_than_a_record_is_refused_and_not_stored() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let server = ServerTls::new(TestKey::server()).unwrap();
    for piece in [16_384, 1_000, 1] {
        for claimed in [16_700, 65_535, 0xff_ffff] {
            for is_server in [true, false] {
                let (ours, theirs) = runtime.block_on(tcp_pair());
                let client = ClientTls::new(TestKey::client(), |_| true).unwrap();
                let bytes = records(if is_server { 1 } else { 2 }, claimed, piece);
                let pouring = runtime.spawn(pour(theirs, bytes));
                let (refused, Memory { largest, held }) = memory_of(|| {
                    runtime.block_on(async {
                        if is_server {
                            ServerHandshake::begin(ours, &server).await.map(drop)
                        } else {
                            connect(ours, &client).await.map(drop)
                        }
                    })
                });
                let refused = refused.unwrap_err();
                assert!(matches!(refused, TlsError::TooLong | TlsError::Protocol(_)), "{refused}");
                assert!(largest <= LARGEST_BLOCK && held < HELD, "{largest} bytes at once, {held} kept");
                runtime.block_on(pouring).unwrap();
            }
        }
    }
}
