//! The two ends of a test: ours, and an independent one that a test may configure to be as strange as it likes.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, DistinguishedName, Error, KeyLog,
    ServerConfig, ServerConnection, SignatureScheme,
};

use super::keys::TestKey;
use super::random::Random;
use crate::keys::PublicKey;
use crate::tls::byte_queue::ByteQueue;
use crate::tls::identity::certified;
use crate::tls::session::{LARGEST_RECORD, Session, Step};
use crate::tls::{APPLICATION_PROTOCOL, ClientTls, ServerTls, TlsError};

/// Our end, with what a socket would hold.
pub(super) struct Ours {
    pub(super) session: Session,
    incoming: ByteQueue,
    outgoing: ByteQueue,
    /// Everything that was decrypted.
    pub(super) plaintext: Vec<u8>,
}

impl Ours {
    fn new(session: Session) -> Self {
        let (incoming, outgoing) = (ByteQueue::default(), ByteQueue::default());
        Self { session, incoming, outgoing, plaintext: Vec::new() }
    }

    pub(super) fn server() -> Self {
        Self::server_of(&ServerTls::new(TestKey::server()).unwrap())
    }

    pub(super) fn server_of(settings: &ServerTls) -> Self {
        Self::new(Session::server(settings).unwrap())
    }

    /// A client that trusts the test's server alone.
    pub(super) fn client() -> Self {
        Self::client_of(&client_settings(TestKey::client()))
    }

    pub(super) fn client_of(settings: &ClientTls) -> Self {
        let mut ours = Self::new(Session::client(settings).unwrap());
        ours.feed(&[]).unwrap();
        ours
    }

    /// Takes `bytes`, as far as they go.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Step, TlsError> {
        self.incoming.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.incoming.push(bytes.len());
        loop {
            let Self { session, incoming, outgoing, plaintext } = self;
            match session.receive(incoming, outgoing, &mut |bytes| plaintext.extend_from_slice(bytes))? {
                Step::Plaintext => {}
                Step::Hungry if self.waiting() > LARGEST_RECORD => return Err(TlsError::TooLong),
                step => return Ok(step),
            }
        }
    }

    /// As [`Ours::feed`], in pieces of random lengths.
    pub(super) fn feed_in_pieces(&mut self, mut bytes: &[u8], random: &mut Random) -> Result<Step, TlsError> {
        let mut step = Step::Hungry;
        while !bytes.is_empty() {
            let len = 1 + random.below(bytes.len() as u64) as usize;
            step = self.feed(&bytes[..len])?;
            bytes = &bytes[len..];
        }
        Ok(step)
    }

    pub(super) fn send(&mut self, plaintext: &[u8]) -> Result<(), TlsError> {
        self.session.send(plaintext, &mut self.outgoing)
    }

    pub(super) fn close(&mut self) -> Result<(), TlsError> {
        self.session.close(&mut self.outgoing)
    }

    /// Bytes that have arrived and wait.
    pub(super) fn waiting(&self) -> usize {
        self.incoming.len()
    }

    /// What a socket would be given.
    pub(super) fn take_outgoing(&mut self) -> Vec<u8> {
        let bytes = self.outgoing.bytes().to_vec();
        self.outgoing.pop(bytes.len());
        bytes
    }

    /// Whose key the other end has proven, if the handshake is over and in order.
    pub(super) fn proven(&self) -> Option<PublicKey> {
        self.session.peer().ok()
    }
}

/// A client of ours that trusts the test's server alone.
pub(super) fn client_settings(identity: Arc<TestKey>) -> ClientTls {
    let expected = PublicKey::from_spki(&certified(TestKey::server()).cert[0]).unwrap();
    ClientTls::new(identity, move |key| *key == expected).unwrap()
}

/// What the other end accepts: everything.
#[derive(Debug)]
pub(super) struct Anyone {
    /// Whether it asks for a raw public key.
    pub(super) raw: bool,
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _key: &CertificateDer<'_>,
        _behind_it: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _key: &CertificateDer<'_>,
        _behind_it: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, key, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}

/// The cheapest algorithms, with flights as short as they get.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![kx_group::X25519],
        cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..aws_lc_rs::default_provider()
    })
}

/// A client with all defaults of the library but our application protocol.
pub(super) fn client_config_with(key: Arc<dyn ResolvesClientCert>, raw: bool) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone { raw }))
        .with_client_cert_resolver(key);
    config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
    config
}

/// The same, showing what is in `key`.
pub(super) fn client_config(key: Arc<CertifiedKey>) -> ClientConfig {
    client_config_with(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)), true)
}

/// A server with all defaults of the library but our application protocol.
pub(super) fn server_config_with(key: Arc<dyn ResolvesServerCert>, raw: bool) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anyone { raw }))
        .with_cert_resolver(key);
    config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
    config
}

/// The same, showing what is in `key`.
pub(super) fn server_config(key: Arc<CertifiedKey>) -> ServerConfig {
    server_config_with(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)), true)
}

/// The other end, and what has arrived there.
pub(super) struct Peer(pub(super) Connection, Vec<u8>);

impl Peer {
    pub(super) fn client(config: impl Into<Arc<ClientConfig>>) -> Self {
        let name = ServerName::try_from("test.invalid").unwrap();
        Self(ClientConnection::new(config.into(), name).unwrap().into(), Vec::new())
    }

    pub(super) fn server(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self(ServerConnection::new(config.into()).unwrap().into(), Vec::new())
    }

    pub(super) fn honest_client() -> Self {
        Self::client(client_config(certified(TestKey::client())))
    }

    pub(super) fn honest_server() -> Self {
        Self::server(server_config(certified(TestKey::server())))
    }

    /// Takes `bytes`.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).unwrap();
            self.0.process_new_packets()?;
            // Without an end, the reader would rather wait.
            self.0.reader().read_to_end(&mut self.1).ok();
        }
        Ok(())
    }

    /// What a socket would be given.
    pub(super) fn take_outgoing(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    pub(super) fn send(&mut self, plaintext: &[u8]) -> Vec<u8> {
        self.0.writer().write_all(plaintext).unwrap();
        self.take_outgoing()
    }

    /// What has arrived since the last time.
    pub(super) fn plaintext(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.1)
    }
}

/// Why two ends have stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// Neither has anything to say.
    Quiet,
    /// Ours refuses.
    Ours(TlsError),
    /// The other refuses.
    Theirs(Error),
}

/// Lets both ends speak until one refuses or neither has anything to say.
pub(super) fn converse(ours: &mut Ours, peer: &mut Peer) -> Stop {
    loop {
        let (to_peer, to_us) = (ours.take_outgoing(), peer.take_outgoing());
        if to_peer.is_empty() && to_us.is_empty() {
            return Stop::Quiet;
        }
        if let Err(error) = peer.feed(&to_peer) {
            return Stop::Theirs(error);
        }
        if let Err(error) = ours.feed(&to_us) {
            return Stop::Ours(error);
        }
    }
}

/// Requires that both have shaken hands.
#[track_caller]
pub(super) fn shake_hands(ours: &mut Ours, peer: &mut Peer) {
    let stop = converse(ours, peer);
    assert!(matches!(stop, Stop::Quiet) && !peer.0.is_handshaking(), "{stop:?}");
    assert!(ours.proven().is_some());
}

/// Requires that ours refuses; why.
#[track_caller]
pub(super) fn refusal(ours: &mut Ours, peer: &mut Peer) -> TlsError {
    match converse(ours, peer) {
        Stop::Ours(error) => {
            assert_eq!(ours.proven(), None);
            error
        }
        Stop::Theirs(error) => panic!("the other end refuses: {error}"),
        Stop::Quiet => panic!("not refused"),
    }
}

/// The secrets of connections, for tests that write records themselves.
#[derive(Debug, Default)]
pub(super) struct Secrets(Mutex<Vec<(String, Vec<u8>)>>);

impl Secrets {
    pub(super) fn of(&self, label: &str) -> Vec<u8> {
        let secrets = self.0.lock().unwrap();
        secrets.iter().rfind(|(known, _)| known == label).unwrap().1.clone()
    }
}

impl KeyLog for Secrets {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        self.0.lock().unwrap().push((label.to_owned(), secret.to_vec()));
    }
}
