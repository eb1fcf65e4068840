//! Keys for both sides, in the files in which the programs look for them: nothing has to be said on a command line.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use common::keys::{PrivateKey, PublicKey, create_private};
use common::tls::{self, ClientTls, TlsStream};
use common::transport::prepare_tcp;
use tokio::net::TcpStream;

/// Where the programs keep their files, below their user's home.
const CONFIGURATION: &str = ".config/telex";

/// Every server on this machine, on whatever port it is or is reached.
const HOSTS: &str = "[127.0.0.1]:*";

/// A server's key, and the key of its only user. New ones each time, so that none stands in the source.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    server: PublicKey,
    client: Arc<PrivateKey>,
}

impl Keys {
    /// Makes both, and writes into `home` that each knows the other.
    pub(crate) fn install(home: &Path) -> Result<Self> {
        let file = |name: &str| home.join(CONFIGURATION).join(name);
        let (server, client) = (PrivateKey::generate()?, PrivateKey::generate()?);
        create_private(&file("host_key"), server.to_openssh("compare").as_bytes())?;
        create_private(&file("id_ed25519"), client.to_openssh("compare").as_bytes())?;
        create_private(&file("authorized_keys"), format!("{}\n", client.public()).as_bytes())?;
        create_private(&file("known_hosts"), format!("{HOSTS} {}\n", server.public()).as_bytes())?;
        Ok(Self { server: server.public(), client: Arc::new(client) })
    }

    /// Connects to the server at `address`, and has both sides prove their keys.
    ///
    /// From memory, and not from those files: this process has another home, and outside of it the library trusts no
    /// file below a directory that everybody may write to.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<TlsStream> {
        let (client, server) = (Arc::clone(&self.client), self.server);
        let stream = TcpStream::connect(address).await?;
        prepare_tcp(&stream)?;
        Ok(tls::connect(stream, &ClientTls::new(client, move |key| *key == server)?).await?)
    }
}
