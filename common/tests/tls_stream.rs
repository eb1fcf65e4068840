//! Bytes over TLS: both directions at once, whatever the sizes, to the end that the peer announced.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod support {
    pub(crate) mod tls;
}

use std::future::poll_fn;
use std::io::ErrorKind;

use common::tls::{TlsReader, TlsStream, TlsWriter};
use support::tls::{TestKey, pair};
use tokio::io::AsyncReadExt;

/// Bytes that show where they come from.
fn sample(len: usize, seed: u64) -> Vec<u8> {
    (0..len as u64).map(|index| ((index / 251) ^ (index * seed)) as u8).collect()
}

async fn send(writer: &mut TlsWriter, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece) {
        let mut batch = piece;
        while !batch.is_empty() || !writer.is_flushed() {
            poll_fn(|context| writer.poll_send(context, &mut batch)).await.unwrap();
        }
    }
}

async fn receive(reader: &mut TlsReader, len: usize, piece: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(len);
    let mut buffer = vec![0; piece];
    while all.len() < len {
        let read = reader.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "ended after {} of {len} bytes", all.len());
        all.extend_from_slice(&buffer[..read]);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_at_once_in_pieces_of_every_size() {
    for (sent, heard, len) in
        [(1, 1, 3_000), (7, 16 * 1024, 100_000), (16 * 1024 + 1, 3, 200_000), (300_000, 262_144, 20_000_000)]
    {
        let (client, server) = pair().await;
        let (there, back) = (sample(len, 3), sample(len, 5));
        let exchange = |stream: TlsStream, out: Vec<u8>, expected: Vec<u8>| async move {
            let (mut reader, mut writer) = stream.split();
            let writing = tokio::spawn(async move {
                send(&mut writer, &out, sent).await;
                poll_fn(|context| writer.poll_end(context)).await.unwrap();
            });
            assert!(receive(&mut reader, expected.len(), heard).await == expected, "{sent} {heard}");
            assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
            writing.await.unwrap();
        };
        let other = tokio::spawn(exchange(server, back.clone(), there.clone()));
        exchange(client, there, back).await;
        other.await.unwrap();
    }
}

#[tokio::test]
async fn an_end_that_was_not_announced_is_an_error() {
    let (client, server) = pair().await;
    let (mut reader, _writer) = client.split();
    drop(server);
    let error = reader.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn each_side_knows_the_others_key() {
    let (client, server) = pair().await;
    assert_eq!(client.peer(), TestKey::server().public());
    assert_eq!(server.peer(), TestKey::client().public());
}
