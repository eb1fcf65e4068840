//! The library's configuration for either side: everything that weakens is off, and what is on is demanded.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::version::TLS13;
use rustls::{CipherSuite, ClientConfig, ServerConfig, SupportedCipherSuite};

use super::identity::{Identity, certified};
use super::verifier::{AnyClientKey, TrustedServerKey};
use super::{APPLICATION_PROTOCOL, TlsError};
use crate::keys::PublicKey;

/// The server's side, for any number of connections.
#[derive(Clone)]
pub struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
}

/// The client's side, for one connection.
pub struct ClientTls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) refused: Arc<OnceLock<PublicKey>>,
    /// Whether signing may block; see [`Identity::blocks`].
    pub(super) blocks: bool,
}

impl ServerTls {
    /// A server that proves to own `host_key`.
    ///
    /// # Errors
    /// [`TlsError::Protocol`] if the library refuses its own configuration, which it has no reason to do.
    pub fn new(host_key: Arc<dyn Identity>) -> Result<Self, TlsError> {
        let provider = provider();
        let verifier = AnyClientKey { algorithms: provider.signature_verification_algorithms };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified(host_key))));
        // A resumed session would not be verified again: a revoked key could come back with it.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
        Ok(Self { config: Arc::new(config) })
    }
}

impl ClientTls {
    /// A client that proves to own `identity`, to a server whose key `trust` accepts.
    ///
    /// # Errors
    /// As [`ServerTls::new`].
    pub fn new(
        identity: Arc<dyn Identity>,
        trust: impl Fn(&PublicKey) -> bool + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        let provider = provider();
        let refused = Arc::new(OnceLock::new());
        let blocks = identity.blocks();
        let verifier = TrustedServerKey {
            algorithms: provider.signature_verification_algorithms,
            trust: Box::new(trust),
            refused: Arc::clone(&refused),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(identity))));
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        config.alpn_protocols = vec![APPLICATION_PROTOCOL.to_vec()];
        Ok(Self { config: Arc::new(config), refused, blocks })
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").finish_non_exhaustive()
    }
}

/// The library's algorithms, those of TLS 1.3 alone.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
    // The server goes by the client's order. AES-128 costs 8 % less than AES-256, and less than half of ChaCha20 on every
    // processor of the last ten years; to ask this one what it can do would cost a client 45 us at each start.
    provider.cipher_suites.sort_by_key(preference);
    Arc::new(provider)
}

fn preference(suite: &SupportedCipherSuite) -> u8 {
    match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_AES_256_GCM_SHA384 => 1,
        _ => 2,
    }
}
