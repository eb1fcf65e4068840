//! Whose key it is decides, each time anew: not what a client shows without proving it, and not what was good before.

use std::sync::Arc;

use common::connection::{PacketReader, packet_queue};
use common::greeting::{CloseCode, Hello};
use common::keys::{PrivateKey, PublicKey};
use common::message::{ClientMessage, ServerMessage};
use common::packet::Packet;
use common::tls::{ClientTls, Identity, connect};
use common::transport::Transport;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::peer::DEADLINE;
use super::world::World;

/// Shows one key and signs with another.
#[derive(Debug)]
struct Impostor {
    shown: PublicKey,
    own: PrivateKey,
}

impl Identity for Impostor {
    fn public_key(&self) -> PublicKey {
        self.shown
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], String> {
        Ok(self.own.sign(message))
    }
}

fn new_key() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::generate().unwrap())
}

/// A client's settings, good for any number of connections.
fn settings(world: &World, identity: Arc<dyn Identity>) -> ClientTls {
    let expected = world.host_key();
    ClientTls::new(identity, move |key| *key == expected).unwrap()
}

/// How a client was received.
#[derive(Debug, PartialEq, Eq)]
enum Reception {
    Welcome,
    Refused(CloseCode),
    /// Not even told.
    CutOff,
}

/// Connects, says HELLO, and leaves.
async fn visit(world: &World, settings: &ClientTls) -> Reception {
    let (reception, serving) = greet(world, settings).await;
    timeout(DEADLINE, serving).await.unwrap().unwrap();
    reception
}

async fn greet(world: &World, settings: &ClientTls) -> (Reception, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (ours, accepted) = tokio::join!(connecting, listener.accept());
    let serving = world.serve_tcp(accepted.unwrap().0);
    let Ok(stream) = timeout(DEADLINE, connect(ours.unwrap(), settings)).await.unwrap() else {
        return (Reception::CutOff, serving);
    };
    let (read, write) = Transport::Tls(Box::new(stream)).split();
    let (sender, queue) = packet_queue::<ClientMessage>();
    sender.try_send_control(Packet::Hello(Hello::new("", "test"))).unwrap();
    let writing = tokio::spawn(queue.run(write, DEADLINE));
    let mut reader = PacketReader::<_, ServerMessage>::new(read);
    let reception = match timeout(DEADLINE, reader.next()).await.unwrap() {
        Ok(Some(Packet::Welcome(_))) => Reception::Welcome,
        Ok(Some(Packet::Close(close))) => Reception::Refused(close.code),
        Ok(other) => panic!("{other:?}"),
        Err(_) => Reception::CutOff,
    };
    drop(sender);
    // A server that has refused may be gone before the goodbye.
    writing.await.unwrap().ok();
    (reception, serving)
}

/// How often the trail says of `key` that it was let in or refused.
async fn logins(world: &World, key: &PublicKey, result: &str) -> usize {
    let fingerprint = key.fingerprint().to_string();
    let records = world.records("authentication").await;
    records.iter().filter(|record| record["fingerprint"] == fingerprint && record["result"] == result).count()
}

#[tokio::test]
async fn a_key_that_is_shown_and_not_proven_opens_nothing() {
    let (world, victim) = (World::new(), new_key());
    world.authorize(&[victim.public()]);
    let impostor = Impostor { shown: victim.public(), own: PrivateKey::generate().unwrap() };
    assert_eq!(visit(&world, &settings(&world, Arc::new(impostor))).await, Reception::CutOff);
    assert!(world.records("authentication").await.is_empty(), "nobody has authenticated");
    assert_eq!(visit(&world, &settings(&world, victim)).await, Reception::Welcome);
}

#[tokio::test]
async fn a_key_that_was_removed_does_not_come_back_with_the_session_it_had() {
    let (world, removed, other) = (World::new(), new_key(), new_key());
    world.authorize(&[removed.public(), other.public()]);
    let settings = settings(&world, Arc::clone(&removed) as Arc<dyn Identity>);
    for _ in 0..3 {
        assert_eq!(visit(&world, &settings).await, Reception::Welcome);
    }
    world.authorize(&[other.public()]);
    for _ in 0..3 {
        assert_eq!(visit(&world, &settings).await, Reception::Refused(CloseCode::Denied));
    }
    assert_eq!(
        (
            logins(&world, &removed.public(), "accepted").await,
            logins(&world, &removed.public(), "refused").await
        ),
        (3, 3)
    );
}

#[tokio::test]
async fn a_key_that_was_revoked_does_not_come_back_while_it_is_listed() {
    let (world, key) = (World::new(), new_key());
    world.authorize(&[key.public()]);
    let settings = settings(&world, Arc::clone(&key) as Arc<dyn Identity>);
    assert_eq!(visit(&world, &settings).await, Reception::Welcome);
    std::fs::write(world.path("revoked_keys"), format!("{}\n", key.public())).unwrap();
    assert_eq!(visit(&world, &settings).await, Reception::Refused(CloseCode::Denied));
    std::fs::write(world.path("revoked_keys"), "what is this\n").unwrap();
    assert_eq!(visit(&world, &settings).await, Reception::Refused(CloseCode::Denied));
}

#[tokio::test]
async fn interleaved_clients_are_each_let_in_as_whom_they_have_proven_to_be() {
    const CLIENTS: usize = 200;
    const AT_ONCE: usize = 16;
    let (world, ann, bob, stranger) = (World::new(), new_key(), new_key(), new_key());
    world.authorize(&[ann.public(), bob.public()]);
    let world = Arc::new(world);
    let mut visits = JoinSet::new();
    for number in 0..CLIENTS {
        let (identity, expected): (Arc<dyn Identity>, _) = match number % 4 {
            0 => (Arc::clone(&ann) as _, Reception::Welcome),
            1 => (Arc::clone(&bob) as _, Reception::Welcome),
            2 => (Arc::clone(&stranger) as _, Reception::Refused(CloseCode::Denied)),
            _ => {
                let own = PrivateKey::generate().unwrap();
                (Arc::new(Impostor { shown: ann.public(), own }), Reception::CutOff)
            }
        };
        if visits.len() == AT_ONCE {
            visits.join_next().await.unwrap().unwrap();
        }
        let world = Arc::clone(&world);
        visits.spawn(async move {
            let settings = settings(&world, identity);
            assert_eq!(visit(&world, &settings).await, expected, "client {number}");
        });
    }
    visits.join_all().await;
    let mut results = Vec::new();
    for key in [&ann, &bob, &stranger].map(|key| key.public()) {
        results.push((logins(&world, &key, "accepted").await, logins(&world, &key, "refused").await));
    }
    let each = CLIENTS / 4;
    assert_eq!(results, [(each, 0), (each, 0), (0, each)], "each login is that of the key which was proven");
    assert_eq!(world.records("authentication").await.len(), 3 * each);
}
