//! The connection that a call uses, and the private server behind it if there is one.

use super::args::Options;
use super::embedded::Server;
use super::failure::Failure;
use super::target::Place;
use crate::Client;

/// A connection, from the command line's point of view.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// What the user calls the server.
    pub(crate) name: String,
    /// Where the server is.
    pub(crate) address: String,
    server: Option<Server>,
}

impl Connection {
    /// Connects to the server that `options` asks for.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn open(options: &Options, program: &str) -> Result<Self, Failure> {
        if options.embedded {
            return Self::open_embedded(program);
        }
        let place = Place::resolve(options.host.as_deref())?;
        let client = Client::connect(&place.target).await.map_err(|error| place.failure(error))?;
        let address = place.target.endpoint.to_string();
        Ok(Self { client, name: place.name, address, server: None })
    }

    fn open_embedded(program: &str) -> Result<Self, Failure> {
        let (client, address, server) = Server::start(program)?;
        Ok(Self { client, name: "embedded".to_owned(), address, server: Some(server) })
    }

    /// Ends it when nothing is left to be said: the system closes the socket with the program.
    pub(crate) async fn end(self) {
        drop(self.client);
        if let Some(server) = self.server {
            server.wait().await;
        }
    }

    /// Says first what is still to be said, such as that a job is to end.
    pub(crate) async fn close(self) {
        self.client.close().await;
        if let Some(server) = self.server {
            server.wait().await;
        }
    }
}
