//! The connection that a call uses, and the private server behind it if there is one.

use common::config::Places;
use common::endpoint::Endpoint;
use common::job::JobId;

use super::args::ServerOptions;
use super::embedded::Server;
use super::failure::Failure;
use super::target::{LOCAL, Place};
use super::trust;
use crate::access::known_hosts_path;
use crate::config::{ClientConfig, PromptSettings};
use crate::error::{Distrust, Error};
use crate::{Access, Client, UnknownHosts};

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Nothing is left to be said: the system closes the socket with the program.
    End,
    /// What is still to be said is said first, such as that a job is to end.
    Close,
}

/// A connection, from the command line's point of view.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// What the user calls the server.
    pub(crate) name: String,
    /// Where the server is.
    pub(crate) address: String,
    /// How the user wants a prompt to look.
    pub(crate) prompt: PromptSettings,
    server: Option<Server>,
}

impl Connection {
    /// Connects to the server that is asked for.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn open(server: &ServerOptions, program: &str) -> Result<Self, Failure> {
        if server.embedded {
            return Self::open_embedded(program);
        }
        let places = Places::of_user();
        let config = match &places {
            Ok(places) => ClientConfig::load(places).map_err(Error::from)?,
            // The local server may be found without a home.
            Err(_) => ClientConfig::default(),
        };
        let place = Place::resolve(server.host.as_deref(), &config)?;
        let client = match &place.target.endpoint {
            Endpoint::Unix(_) => {
                Client::connect(&place.target).await.map_err(|error| place.failure(error))?
            }
            Endpoint::Tcp { .. } => open_tcp(server, &place, &places.map_err(Error::from)?).await?,
        };
        let address = place.target.endpoint.to_string();
        Ok(Self { client, name: place.name, address, prompt: config.prompt, server: None })
    }

    fn open_embedded(program: &str) -> Result<Self, Failure> {
        let (client, server) = Server::start(program)?;
        let name = "embedded".to_owned();
        // Nothing else is asked of the settings, so that they may be wrong.
        let config = Places::of_user().ok().and_then(|places| ClientConfig::load(&places).ok());
        let prompt = config.unwrap_or_default().prompt;
        Ok(Self { client, address: name.clone(), name, prompt, server: Some(server) })
    }

    /// Whether the server is gone with this call.
    pub(crate) fn is_private(&self) -> bool {
        self.server.is_some()
    }

    /// The command that comes back to a job.
    pub(crate) fn come_back(&self, program: &str, id: &JobId) -> String {
        let host = if self.name == LOCAL { String::new() } else { format!("-H {} ", self.name) };
        format!("{program} {host}attach {id}")
    }

    /// [`Parting::End`].
    pub(crate) async fn end(self) {
        self.part(Parting::End).await;
    }

    /// [`Parting::Close`].
    pub(crate) async fn close(self) {
        self.part(Parting::Close).await;
    }

    /// Ends it.
    pub(crate) async fn part(self, parting: Parting) {
        match parting {
            Parting::End => drop(self.client),
            Parting::Close => self.client.close().await,
        }
        if let Some(server) = self.server {
            server.wait().await;
        }
    }
}

/// Connects over TCP; asks about a server that is not known, if somebody is there to be asked.
async fn open_tcp(server: &ServerOptions, place: &Place, places: &Places) -> Result<Client, Failure> {
    let key = server.key.or(&place.key);
    let new = if server.accept_new { UnknownHosts::Accept } else { UnknownHosts::Refuse };
    let access = Access::new(key.load(places)?, known_hosts_path(places)).unknown_hosts(new);
    match Client::connect_with(&place.target, &access).await {
        Err(Error::Untrusted(server)) if server.reason == Distrust::Unknown => {
            trust::ask(&server)?;
            access.remember(&server.host, &server.key)?;
            Ok(Client::connect_with(&place.target, &access).await?)
        }
        connected => connected.map_err(|error| place.failure(error)),
    }
}
