//! TLS by the library's ordinary blocking interface, so that what Telex does with the other one is held against something
//! that Telex has not written.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use common::keys::{PrivateKey, PublicKey};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, ServerConnection, SignatureScheme,
};

/// What both sides name (RFC 7301).
const APPLICATION_PROTOCOL: &[u8] = b"telex/1";

/// A client with this key, for a server that has to have `host`.
pub(crate) fn client(key: &PrivateKey, host: PublicKey) -> ClientConnection {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Expected(Some(host))))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(key))));
    config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    ClientConnection::new(Arc::new(config), name).unwrap()
}

/// A server with this key, for any client that has one.
pub(crate) fn server(key: &PrivateKey) -> ServerConnection {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(Expected(None)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(key))));
    config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
    ServerConnection::new(Arc::new(config)).unwrap()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certified(key: &PrivateKey) -> Arc<CertifiedKey> {
    let spki = CertificateDer::from(key.public().to_spki().to_vec());
    let signing = any_eddsa_type(&PrivatePkcs8KeyDer::from(key.to_pkcs8().as_slice())).unwrap();
    Arc::new(CertifiedKey::new(vec![spki], signing))
}

/// The key that the peer must have; `None` for any.
#[derive(Debug)]
struct Expected(Option<PublicKey>);

impl Expected {
    fn check(&self, key: &CertificateDer<'_>) -> Result<(), Error> {
        let shown = PublicKey::from_spki(key).ok_or_else(|| Error::General("not a raw key".to_owned()))?;
        match self.0 {
            Some(expected) if expected != shown => Err(Error::General("another key".to_owned())),
            _ => Ok(()),
        }
    }
}

fn verify(
    message: &[u8],
    key: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = provider().signature_verification_algorithms;
    let key = SubjectPublicKeyInfoDer::from(key.as_ref());
    verify_tls13_signature_with_raw_key(message, &key, signature, &algorithms)
}

impl ServerCertVerifier for Expected {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _behind_it: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(key).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Expected {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _behind_it: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(key).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls13RequiredForQuic.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
