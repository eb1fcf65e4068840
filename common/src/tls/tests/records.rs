//! Records written by hand with the keys of a connection (RFC 8446, sections 5.2, 5.3 and 7.3): for saying what no library
//! would.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use rustls::KeyLog;

use super::keys::TestKey;
use super::peer::{Ours, Peer, Secrets, client_config, server_config, shake_hands};
use crate::tls::identity::certified;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// KEY_UPDATE, without and with a wish for one in return.
pub(super) const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
pub(super) const KEY_UPDATE_REQUESTED: [u8; 5] = [24, 0, 0, 1, 1];

/// Which side of a connection is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Client, Self::Server];
}

/// One direction of a connection, from the end of the handshake on.
pub(super) struct Forger {
    secret: Vec<u8>,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Forger {
    /// What the other end of a connection, of which ours is `side`, would send once its handshake is over.
    pub(super) fn of(secrets: &Secrets, side: Side) -> Self {
        Self::new(secrets.of(match side {
            Side::Server => "CLIENT_TRAFFIC_SECRET_0",
            Side::Client => "SERVER_TRAFFIC_SECRET_0",
        }))
    }

    fn new(secret: Vec<u8>) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, &expand(&secret, "key", 16)).unwrap();
        let iv = expand(&secret, "iv", 12).try_into().unwrap();
        Self { secret, key: LessSafeKey::new(key), iv, sequence: 0 }
    }

    /// A record of this type and content.
    pub(super) fn record(&mut self, content_type: u8, content: &[u8]) -> Vec<u8> {
        self.seal([content, &[content_type]].concat())
    }

    /// A record of this inner plaintext, whose last byte that is not zero is its type.
    pub(super) fn seal(&mut self, mut inner: Vec<u8>) -> Vec<u8> {
        let mut nonce = self.iv;
        for (place, byte) in nonce.iter_mut().rev().zip(self.sequence.to_le_bytes()) {
            *place ^= byte;
        }
        self.sequence += 1;
        let [high, low] = ((inner.len() + 16) as u16).to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut inner).unwrap();
        [&header[..], &inner].concat()
    }

    /// What comes from now on is under the next keys.
    pub(super) fn update_keys(&mut self) {
        *self = Self::new(expand(&self.secret, "traffic upd", 32));
    }
}

/// HKDF-Expand-Label without a context.
fn expand(secret: &[u8], label: &str, len: usize) -> Vec<u8> {
    let length = (len as u16).to_be_bytes();
    let label_len = [6 + label.len() as u8];
    let info = [&length[..], &label_len, b"tls13 ", label.as_bytes(), &[0]];
    let mut bytes = vec![0; len];
    let prk = Prk::new_less_safe(HKDF_SHA256, secret);
    prk.expand(&info, Len(len)).unwrap().fill(&mut bytes).unwrap();
    bytes
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

/// The other end of a connection of which ours is `side`, and the secrets that it will have.
pub(super) fn other_end(side: Side) -> (Peer, Arc<Secrets>) {
    let secrets = Arc::new(Secrets::default());
    let key_log = Arc::clone(&secrets) as Arc<dyn KeyLog>;
    let peer = match side {
        Side::Server => {
            let mut config = client_config(certified(TestKey::client()));
            config.key_log = key_log;
            Peer::client(config)
        }
        Side::Client => {
            let mut config = server_config(certified(TestKey::server()));
            config.key_log = key_log;
            config.send_tls13_tickets = 0;
            Peer::server(config)
        }
    };
    (peer, secrets)
}

/// A connection after its handshake: our end, the other, and the other's hand.
pub(super) fn established(side: Side) -> (Ours, Peer, Forger) {
    let (mut peer, secrets) = other_end(side);
    let mut ours = match side {
        Side::Server => Ours::server(),
        Side::Client => Ours::client(),
    };
    shake_hands(&mut ours, &mut peer);
    (ours, peer, Forger::of(&secrets, side))
}
