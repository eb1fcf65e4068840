//! Keys for tests, and connections made with them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use common::keys::PublicKey;
use common::tls::{ClientTls, Identity, ServerHandshake, ServerTls, TlsError, TlsStream, connect};
use tokio::net::{TcpListener, TcpStream};

/// A key made from a number.
#[derive(Debug)]
pub(crate) struct TestKey(Ed25519KeyPair);

impl TestKey {
    pub(crate) fn new(seed: u8) -> Arc<Self> {
        Arc::new(Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()))
    }

    pub(crate) fn client() -> Arc<Self> {
        Self::new(1)
    }

    pub(crate) fn server() -> Arc<Self> {
        Self::new(2)
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.public_key().as_ref().try_into().unwrap())
    }
}

impl Identity for TestKey {
    fn public_key(&self) -> PublicKey {
        self.public()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], String> {
        self.0.sign(message).as_ref().try_into().map_err(|_| "no signature".to_owned())
    }
}

/// Two ends of a TCP connection on this machine.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(connecting, listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// A server's whole handshake.
pub(crate) async fn accept(stream: TcpStream, settings: &ServerTls) -> Result<TlsStream, TlsError> {
    ServerHandshake::begin(stream, settings).await?.finish().await
}

/// A client and a server that have shaken hands.
pub(crate) async fn pair() -> (TlsStream, TlsStream) {
    let (client, server) = tcp_pair().await;
    let expected = TestKey::server().public();
    let settings = ClientTls::new(TestKey::client(), move |key| *key == expected).unwrap();
    let accepting = tokio::spawn(async move {
        let settings = ServerTls::new(TestKey::server()).unwrap();
        accept(server, &settings).await
    });
    let mut client = connect(client, &settings).await.unwrap();
    client.flush().await.unwrap();
    (client, accepting.await.unwrap().unwrap())
}
