//! A key counts only if its owner has just signed with it, and only alone: nothing behind it, nothing that is no key.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error};

use super::keys::TestKey;
use super::peer::{
    Ours, Peer, Stop, client_config, client_settings, converse, refusal, server_config, shake_hands,
};
use super::random::Random;
use crate::keys::PublicKey;
use crate::tls::identity::{Identity, certified};
use crate::tls::{ClientTls, ServerTls, TlsError};

/// A self-signed X.509 certificate for an Ed25519 key, made with OpenSSL 3.0.
const CERTIFICATE: &[u8] = include_bytes!("certificate.der");

/// Before an Ed25519 key, in a SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: usize = 12;

#[track_caller]
fn is_bad_signature(error: &TlsError) {
    let expected = Error::InvalidCertificate(CertificateError::BadSignature);
    assert!(matches!(error, TlsError::Protocol(error) if *error == expected), "{error}");
}

#[track_caller]
fn is_no_key(error: &TlsError) {
    let expected = Error::InvalidCertificate(CertificateError::BadEncoding);
    assert!(matches!(error, TlsError::Protocol(error) if *error == expected), "{error}");
}

#[test]
fn a_client_that_shows_anothers_key_is_refused() {
    let liar = client_config(certified(TestKey::impostor(7, 1)));
    is_bad_signature(&refusal(&mut Ours::server(), &mut Peer::client(liar)));
}

#[test]
fn a_server_that_shows_anothers_key_is_refused() {
    let client = TestKey::client();
    let mut ours = Ours::client_of(&client_settings(Arc::clone(&client)));
    let liar = server_config(certified(TestKey::impostor(7, 2)));
    is_bad_signature(&refusal(&mut ours, &mut Peer::server(liar)));
    assert_eq!(client.signatures(), 0, "the client has proven its key to a liar");
}

/// What can stand where a single raw public key belongs.
fn strange_chains(key: &TestKey) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let spki = key.public_key().to_spki().to_vec();
    let mut longer = spki.clone();
    longer.push(0);
    let mut other_algorithm = spki.clone();
    // X25519 in place of Ed25519 (RFC 8410, section 3).
    other_algorithm[8] = 0x6e;
    vec![
        ("the key twice", vec![spki.clone(), spki.clone()]),
        ("a byte behind the key", vec![spki.clone(), vec![0]]),
        ("nothing behind the key", vec![spki.clone(), vec![]]),
        ("60 KB behind the key", vec![spki.clone(), vec![0xab; 60_000]]),
        ("many entries behind the key", [vec![spki.clone()], vec![vec![1; 9]; 1_000]].concat()),
        ("a certificate", vec![CERTIFICATE.to_vec()]),
        ("a certificate behind the key", vec![spki.clone(), CERTIFICATE.to_vec()]),
        ("the key without its algorithm", vec![spki[SPKI_PREFIX..].to_vec()]),
        ("the key cut short", vec![spki[..spki.len() - 1].to_vec()]),
        ("the key in a longer frame", vec![longer]),
        ("a key of another algorithm", vec![other_algorithm]),
    ]
}

fn showing(key: Arc<TestKey>, chain: Vec<Vec<u8>>) -> Arc<CertifiedKey> {
    let certified = certified(key);
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    Arc::new(CertifiedKey::new(chain, Arc::clone(&certified.key)))
}

#[test]
fn a_server_takes_exactly_one_key() {
    for (name, chain) in strange_chains(&TestKey::client()) {
        let config = client_config(showing(TestKey::client(), chain));
        match refusal(&mut Ours::server(), &mut Peer::client(config)) {
            // More than a flight of ours has is not waited for.
            TlsError::TooLong => assert!(name.contains("60 KB"), "{name}"),
            error => is_no_key(&error),
        }
    }
}

#[test]
fn a_client_takes_exactly_one_key() {
    for (name, chain) in strange_chains(&TestKey::server()) {
        let client = TestKey::client();
        let mut ours = Ours::client_of(&client_settings(Arc::clone(&client)));
        let config = server_config(showing(TestKey::server(), chain));
        match refusal(&mut ours, &mut Peer::server(config)) {
            TlsError::TooLong => assert!(name.contains("60 KB"), "{name}"),
            error => is_no_key(&error),
        }
        assert_eq!(client.signatures(), 0, "{name}");
    }
}

#[test]
fn a_client_without_a_key_is_refused() {
    let config = client_config(showing(TestKey::client(), Vec::new()));
    let error = refusal(&mut Ours::server(), &mut Peer::client(config));
    assert!(matches!(error, TlsError::Protocol(Error::NoCertificatesPresented)), "{error}");
}

/// A client on its way to one server, and whom it must be taken for.
struct Attempt {
    ours: Ours,
    theirs: Ours,
    expected: Option<PublicKey>,
    over: bool,
}

impl Attempt {
    /// Of three clients, two are honest; the third shows the first's key and has the second's.
    fn new(number: usize, server: &ServerTls) -> Self {
        let identity = match number % 3 {
            0 => TestKey::new(1),
            1 => TestKey::new(7),
            _ => TestKey::impostor(7, 1),
        };
        let expected = (number % 3 < 2).then(|| identity.public_key());
        let theirs = Ours::client_of(&client_settings(identity));
        Self { ours: Ours::server_of(server), theirs, expected, over: false }
    }

    /// One side's next word.
    fn step(&mut self, random: &mut Random) {
        let (from, to) = if random.below(2) == 0 {
            (&mut self.ours, &mut self.theirs)
        } else {
            (&mut self.theirs, &mut self.ours)
        };
        let bytes = from.take_outgoing();
        self.over |= to.feed_in_pieces(&bytes, random).is_err();
        self.over |= !self.ours.session.is_handshaking() && !self.theirs.session.is_handshaking();
    }
}

#[test]
fn a_thousand_interleaved_clients_are_each_taken_for_whom_they_have_proven_to_be() {
    let server = ServerTls::new(TestKey::server()).unwrap();
    let mut random = Random::new(1);
    let (mut attempts, mut begun) = (Vec::<Attempt>::new(), 0);
    while begun < 1_000 || !attempts.is_empty() {
        if begun < 1_000 && attempts.len() < 50 {
            attempts.push(Attempt::new(begun, &server));
            begun += 1;
        }
        let place = random.below(attempts.len() as u64) as usize;
        attempts[place].step(&mut random);
        if attempts[place].over {
            let attempt = attempts.swap_remove(place);
            assert_eq!(attempt.ours.proven(), attempt.expected);
        }
    }
}

#[test]
fn an_untrusted_server_learns_nothing_of_its_client() {
    let client = TestKey::client();
    let settings = ClientTls::new(Arc::clone(&client) as Arc<dyn Identity>, |_| false).unwrap();
    let (mut ours, mut peer) = (Ours::client_of(&settings), Peer::honest_server());
    peer.feed(&ours.take_outgoing()).unwrap();
    let error = ours.feed(&peer.take_outgoing()).unwrap_err();
    assert!(matches!(error, TlsError::Protocol(Error::InvalidCertificate(_))), "{error}");
    assert_eq!(settings.refused.get(), Some(&TestKey::server().public_key()));
    assert_eq!(client.signatures(), 0);
    // An alert, and before it the record that middleboxes want to see.
    let last_words = ours.take_outgoing();
    assert!(last_words.len() <= 6 + 5 + 2 + 1 + 16, "{} bytes", last_words.len());
    assert!(peer.feed(&last_words).is_err());
    assert!(peer.plaintext().is_empty() && peer.0.peer_certificates().is_none());
}

#[test]
fn honest_ends_learn_each_others_keys() {
    let (mut ours, mut peer) = (Ours::server(), Peer::honest_client());
    shake_hands(&mut ours, &mut peer);
    assert_eq!(ours.proven(), Some(TestKey::client().public_key()));
    let (mut ours, mut peer) = (Ours::client(), Peer::honest_server());
    assert!(matches!(converse(&mut ours, &mut peer), Stop::Quiet));
    assert_eq!(ours.proven(), Some(TestKey::server().public_key()));
}
