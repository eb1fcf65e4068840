//! The same over TCP: what a connection's two halves make of a peer that ends, cuts or misuses it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::keys::TestKey;
use super::peer::{Peer, client_settings, server_config};
use super::records::{ALERT, APPLICATION_DATA, Forger, HANDSHAKE, KEY_UPDATE_REQUESTED, Side, other_end};
use crate::tls::identity::{Identity, certified};
use crate::tls::{Alert, ClientTls, ServerHandshake, ServerTls, TlsError, TlsStream, TlsWriter, connect};

/// No test of these waits for anything but the other end.
const DEADLINE: Duration = Duration::from_secs(30);

/// Our end's socket, and the other's.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (theirs, ours) = tokio::join!(connecting, listener.accept());
    (ours.unwrap().0, theirs.unwrap())
}

async fn accept(stream: TcpStream) -> Result<TlsStream, TlsError> {
    let settings = ServerTls::new(TestKey::server()).unwrap();
    timeout(DEADLINE, async { ServerHandshake::begin(stream, &settings).await?.finish().await })
        .await
        .unwrap()
}

/// Reads until `peer` has something to say, or the end.
async fn hear(socket: &mut TcpStream, peer: &mut Peer) {
    let mut bytes = vec![0; 20_000];
    let read = timeout(DEADLINE, socket.read(&mut bytes)).await.unwrap().unwrap();
    peer.feed(&bytes[..read]).unwrap();
}

/// Has a client of the other kind shake hands with ours; its last flight is not sent but handed out.
async fn last_flight(socket: &mut TcpStream, peer: &mut Peer) -> Vec<u8> {
    socket.write_all(&peer.take_outgoing()).await.unwrap();
    while peer.0.is_handshaking() {
        hear(socket, peer).await;
    }
    peer.take_outgoing()
}

/// Lets our server meet a client that says `then` in one breath with the end of its handshake.
async fn server_meets(then: impl FnOnce(&mut Peer, Forger) -> Vec<u8>) -> (TlsStream, TcpStream) {
    let (ours, mut theirs) = sockets().await;
    let accepting = tokio::spawn(accept(ours));
    let (mut peer, secrets) = other_end(Side::Server);
    let flight = last_flight(&mut theirs, &mut peer).await;
    let forger = Forger::of(&secrets, Side::Server);
    let then = then(&mut peer, forger);
    theirs.write_all(&[flight, then].concat()).await.unwrap();
    (accepting.await.unwrap().unwrap(), theirs)
}

/// Everything up to the end, and what kind of end it was.
async fn read_to_end(stream: TlsStream) -> (Vec<u8>, Result<(), std::io::ErrorKind>, TlsWriter) {
    let (mut reader, writer) = stream.split();
    let mut bytes = Vec::new();
    let end = timeout(DEADLINE, reader.read_to_end(&mut bytes)).await.unwrap();
    (bytes, end.map(drop).map_err(|error| error.kind()), writer)
}

#[tokio::test]
async fn an_end_right_behind_the_handshake_is_an_end() {
    let (stream, _theirs) = server_meets(|_, mut forger| forger.record(ALERT, &[1, 0])).await;
    let (bytes, end, _) = read_to_end(stream).await;
    assert_eq!((bytes, end), (Vec::new(), Ok(())));
}

#[tokio::test]
async fn what_comes_behind_an_announced_end_is_not_read() {
    let (stream, _theirs) = server_meets(|_, mut forger| {
        let data = [&b"first"[..], b", second"].map(|data| forger.record(APPLICATION_DATA, data));
        [&data.concat(), &forger.record(ALERT, &[1, 0])[..], &forger.record(APPLICATION_DATA, b"third")]
            .concat()
    })
    .await;
    let (bytes, end, _) = read_to_end(stream).await;
    assert_eq!((&bytes[..], end), (&b"first, second"[..], Ok(())));
}

#[tokio::test]
async fn a_hostile_word_behind_the_handshake_ends_both_halves_with_an_error() {
    type Word = fn(&mut Forger) -> Vec<u8>;
    let words: [(&str, Word); 4] = [
        ("a message cut into two records", |forger| {
            let (first, second) = KEY_UPDATE_REQUESTED.split_at(2);
            [forger.record(HANDSHAKE, first), forger.record(HANDSHAKE, second)].concat()
        }),
        ("an empty message in front of data", |forger| {
            [forger.record(HANDSHAKE, b""), forger.record(APPLICATION_DATA, b"data")].concat()
        }),
        ("rubbish", |_| b"\x17\x03\x03\x00\x20................................".to_vec()),
        ("a record of no length", |_| vec![23, 3, 3, 0, 0]),
    ];
    for (name, word) in words {
        // Such words may be found with the handshake, or by the first read.
        let (ours, mut theirs) = sockets().await;
        let accepting = tokio::spawn(accept(ours));
        let (mut peer, secrets) = other_end(Side::Server);
        let flight = last_flight(&mut theirs, &mut peer).await;
        let word = word(&mut Forger::of(&secrets, Side::Server));
        theirs.write_all(&[flight, word].concat()).await.unwrap();
        let Ok(stream) = accepting.await.unwrap() else { continue };
        let (bytes, end, mut writer) = read_to_end(stream).await;
        assert_eq!((bytes, end), (Vec::new(), Err(std::io::ErrorKind::InvalidData)), "{name}");
        // Nothing more is said but what TLS has to say.
        let mut batch = &b"not for you"[..];
        while !batch.is_empty() || !writer.is_flushed() {
            std::future::poll_fn(|context| writer.poll_send(context, &mut batch)).await.unwrap();
        }
        drop(writer);
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).await.ok();
        peer.feed(&answer).ok();
        assert_eq!(peer.plaintext(), b"", "{name}");
    }
}

/// Requires that `error` tells of an end after something was said, or of one without a word.
#[track_caller]
fn is_cut_off(error: &TlsError, said: usize) {
    match error {
        TlsError::ClosedInHandshake => assert_ne!(said, 0),
        TlsError::NotTls { said: word } => assert!(said == 0 && word.is_empty()),
        error => panic!("cut off after {said} bytes: {error}"),
    }
}

#[tokio::test]
async fn a_server_that_the_client_cuts_off_anywhere_is_not_kept_waiting() {
    let whole = {
        let (ours, mut theirs) = sockets().await;
        let accepting = tokio::spawn(accept(ours));
        let mut peer = Peer::honest_client();
        let hello = peer.take_outgoing();
        theirs.write_all(&hello).await.unwrap();
        while peer.0.is_handshaking() {
            hear(&mut theirs, &mut peer).await;
        }
        let flight = peer.take_outgoing();
        theirs.write_all(&flight).await.unwrap();
        accepting.await.unwrap().unwrap();
        [hello.len(), flight.len()]
    };
    for (number, len) in whole.into_iter().enumerate() {
        for cut in (0..len).step_by(7) {
            let (ours, mut theirs) = sockets().await;
            let accepting = tokio::spawn(accept(ours));
            let mut peer = Peer::honest_client();
            if number == 0 {
                theirs.write_all(&peer.take_outgoing()[..cut]).await.unwrap();
            } else {
                let flight = last_flight(&mut theirs, &mut peer).await;
                theirs.write_all(&flight[..cut.min(flight.len())]).await.unwrap();
            }
            theirs.shutdown().await.unwrap();
            let error = accepting.await.unwrap().unwrap_err();
            is_cut_off(&error, number + cut);
        }
    }
}

#[tokio::test]
async fn a_client_that_the_server_cuts_off_anywhere_is_not_kept_waiting() {
    for cut in (0..600).step_by(23) {
        let (ours, mut theirs) = sockets().await;
        let serving = async {
            let mut peer = Peer::server(server_config(certified(TestKey::server())));
            hear(&mut theirs, &mut peer).await;
            let flight = peer.take_outgoing();
            let cut = cut.min(flight.len() - 1);
            theirs.write_all(&flight[..cut]).await.unwrap();
            theirs.shutdown().await.unwrap();
        };
        let settings = client_settings(TestKey::client());
        let (connected, ()) = tokio::join!(timeout(DEADLINE, connect(ours, &settings)), serving);
        is_cut_off(&connected.unwrap().unwrap_err(), cut);
    }
}

#[tokio::test]
async fn an_untrusted_server_gets_an_alert_and_no_word_more() {
    let (ours, mut theirs) = sockets().await;
    let client = TestKey::client();
    let settings = ClientTls::new(Arc::clone(&client) as Arc<dyn Identity>, |_| false).unwrap();
    let serving = async {
        let mut peer = Peer::honest_server();
        hear(&mut theirs, &mut peer).await;
        theirs.write_all(&peer.take_outgoing()).await.unwrap();
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
        (rest.len(), peer.feed(&rest), peer)
    };
    let connecting = async {
        let error = connect(ours, &settings).await.unwrap_err();
        assert!(
            matches!(error, TlsError::Untrusted(key) if key == TestKey::server().public_key()),
            "{error}"
        );
    };
    let ((sent, heard, mut peer), ()) = tokio::join!(serving, connecting);
    assert!(sent < 60 && matches!(heard, Err(rustls::Error::AlertReceived(_))), "{sent} bytes, {heard:?}");
    assert!(peer.plaintext().is_empty() && peer.0.peer_certificates().is_none());
    assert_eq!(client.signatures(), 0);
}

#[tokio::test]
async fn a_server_that_turns_away_is_understood_whatever_was_said_meanwhile() {
    for alert in [Alert::AccessDenied, Alert::Busy, Alert::ApplicationProtocol, Alert::Other(90)] {
        let (ours, mut theirs) = sockets().await;
        theirs.write_all(&alert.record()).await.unwrap();
        let settings = client_settings(TestKey::client());
        let error = timeout(DEADLINE, connect(ours, &settings)).await.unwrap().unwrap_err();
        assert!(matches!(error, TlsError::Refused(found) if found == alert), "{error}");
    }
}
