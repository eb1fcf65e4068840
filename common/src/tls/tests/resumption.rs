//! Nobody comes back without proving a key again: a session that is resumed skips the verifier, and a key that was revoked
//! meanwhile would be let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{Connection, HandshakeKind, NamedGroup};

use super::keys::TestKey;
use super::peer::{Ours, Peer, Stop, client_config, client_settings, converse, server_config, shake_hands};
use crate::tls::ServerTls;
use crate::tls::identity::{Identity, certified};

/// A client's memory that counts what is put in.
#[derive(Debug)]
struct Store {
    inner: ClientSessionMemoryCache,
    tickets: AtomicUsize,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: ClientSessionMemoryCache::new(8), tickets: AtomicUsize::new(0) })
    }

    fn tickets(&self) -> usize {
        self.tickets.load(Ordering::Relaxed)
    }
}

impl ClientSessionStore for Store {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.inner.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.inner.kx_hint(name)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.inner.set_tls12_session(name, value);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.inner.tls12_session(name)
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.inner.remove_tls12_session(name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::Relaxed);
        self.inner.insert_tls13_ticket(name, value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.inner.take_tls13_ticket(name)
    }
}

/// Tickets that a client has been given.
fn tickets_received(peer: &Peer) -> u32 {
    match &peer.0 {
        Connection::Client(client) => client.tls13_tickets_received(),
        Connection::Server(_) => 0,
    }
}

#[test]
fn our_server_gives_no_tickets_and_every_handshake_is_a_full_one() {
    let (store, key) = (Store::new(), TestKey::client());
    let mut config = client_config(certified(Arc::clone(&key) as Arc<dyn Identity>));
    config.resumption = Resumption::store(Arc::clone(&store) as Arc<dyn ClientSessionStore>);
    let (config, settings) = (Arc::new(config), ServerTls::new(TestKey::server()).unwrap());
    for round in 1..=3 {
        let (mut ours, mut peer) = (Ours::server_of(&settings), Peer::client(Arc::clone(&config)));
        shake_hands(&mut ours, &mut peer);
        // Tickets would come with the first bytes, if not before.
        ours.send(b"hello").unwrap();
        peer.feed(&ours.take_outgoing()).unwrap();
        assert_eq!(peer.plaintext(), b"hello");
        assert_eq!(peer.0.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!((tickets_received(&peer), store.tickets()), (0, 0));
        assert_eq!(key.signatures(), round, "the key is proven anew");
    }
}

#[test]
fn a_ticket_from_elsewhere_is_worth_nothing_here() {
    let store = Store::new();
    let key = TestKey::client();
    let mut config = client_config(certified(Arc::clone(&key) as Arc<dyn Identity>));
    config.resumption = Resumption::store(Arc::clone(&store) as Arc<dyn ClientSessionStore>);
    let config = Arc::new(config);
    // A server of the same name and key, with the library's defaults, gives tickets.
    let (mut generous, mut peer) = (Peer::honest_server(), Peer::client(Arc::clone(&config)));
    for _ in 0..4 {
        generous.feed(&peer.take_outgoing()).unwrap();
        peer.feed(&generous.take_outgoing()).unwrap();
    }
    assert!(store.tickets() > 0);
    let (mut ours, mut peer) = (Ours::server(), Peer::client(config));
    shake_hands(&mut ours, &mut peer);
    assert_eq!(peer.0.handshake_kind(), Some(HandshakeKind::Full));
    assert_eq!(key.signatures(), 2);
    assert_eq!(ours.proven(), Some(key.public_key()));
}

#[test]
fn our_client_takes_tickets_without_keeping_them() {
    let client = TestKey::client();
    let settings = client_settings(Arc::clone(&client));
    // All defaults: two tickets for each connection, and a memory to resume from.
    let generous = Arc::new(server_config(certified(TestKey::server())));
    assert!(generous.send_tls13_tickets > 0);
    for round in 1..=3 {
        let (mut ours, mut peer) = (Ours::client_of(&settings), Peer::server(Arc::clone(&generous)));
        let stop = converse(&mut ours, &mut peer);
        assert!(matches!(stop, Stop::Quiet), "{stop:?}");
        assert_eq!(ours.proven(), Some(TestKey::server().public_key()));
        ours.feed(&peer.send(b"behind the tickets")).unwrap();
        assert_eq!(ours.plaintext, b"behind the tickets");
        assert_eq!(peer.0.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(client.signatures(), round);
    }
}
