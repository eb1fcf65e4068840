//! The server: listeners, the accept loop, and the end of everything.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::endpoint::Endpoint;
use common::transport::Transport;
use tokio::sync::Semaphore;
use tokio::time;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use crate::authorize::Peer;
use crate::config::Config;
use crate::connection;
use crate::error::StartError;
use crate::listener::Listener;
use crate::service::Service;

/// Connections served at a time; the next ones wait in the listen queue.
const CONNECTIONS: usize = 1024;

/// Pause after a failed accept: without it, a server that has run out of descriptors would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to end once the server stops. Jobs need 8 s, unless the kernel does not let go of a
/// killed process.
const STOP_TIMEOUT: Duration = Duration::from_millis(9_500);

/// A server with its listeners bound.
///
/// [`Server::run`] returns when every task that it has started has ended, or has been given up after 9.5 s.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    service: Arc<Service>,
}

impl Server {
    /// Binds what `config` names.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays bound then.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let mut listeners = Vec::new();
        for endpoint in &config.listen {
            listeners.extend(Listener::bind(endpoint).await?);
        }
        if config.listen.is_empty() {
            listeners = Listener::bind_default().await?;
        }
        Ok(Self { listeners, service: Arc::new(Service::new()) })
    }

    /// The addresses it listens on, with the ports that it got.
    ///
    /// # Errors
    /// The system's.
    pub fn endpoints(&self) -> io::Result<Vec<Endpoint>> {
        self.listeners.iter().map(Listener::endpoint).collect()
    }

    /// Serves until `stop` is ready; then ends every job and connection, in less than 10 s.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let connections = TaskTracker::new();
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let accepting = TaskTracker::new();
        for listener in self.listeners {
            let (service, permits, connections) =
                (Arc::clone(&self.service), Arc::clone(&permits), connections.clone());
            let stopping = service.stopping.clone();
            let accept = accept(listener, service, permits, connections);
            accepting.spawn(async move { stopping.run_until_cancelled(accept).await });
        }
        stop.await;
        info!("stopping");
        self.service.stopping.cancel();
        accepting.close();
        accepting.wait().await;
        connections.close();
        if time::timeout(STOP_TIMEOUT, connections.wait()).await.is_err() {
            warn!(connections = connections.len(), "some connections did not end in time");
        }
    }
}

/// Serves one connection that is open already, until it ends or `stop` is ready.
pub(crate) async fn serve_one(transport: Transport, peer: Peer, stop: impl Future<Output = ()>) {
    let service = Arc::new(Service::new());
    let stopping = service.stopping.clone();
    let mut serving = std::pin::pin!(connection::serve(service, transport, peer));
    tokio::select! {
        () = &mut serving => return,
        () = stop => stopping.cancel(),
    }
    if time::timeout(STOP_TIMEOUT, serving).await.is_err() {
        warn!("the connection did not end in time");
    }
}

/// Takes connections as long as there are permits. Greets nobody itself: one silent peer delays no other.
async fn accept(
    listener: Listener,
    service: Arc<Service>,
    permits: Arc<Semaphore>,
    connections: TaskTracker,
) {
    let mut failing = false;
    loop {
        // Never closed, so this only waits.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((transport, peer)) => {
                failing = false;
                let service = Arc::clone(&service);
                let span = info_span!("connection", %peer);
                let serve = async move {
                    connection::serve(service, transport, peer).await;
                    drop(permit);
                };
                connections.spawn(serve.instrument(span));
            }
            Err(error) => {
                // Once for a row of failures: there may be ten a second.
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "cannot accept connections; trying on");
                }
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
