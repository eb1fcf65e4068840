//! A server for tests: everything but the listener, in a directory of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use common::config::Places;
use common::job::{JobId, Program, Spec};
use common::keys::{PrivateKey, PublicKey};
use common::message::{AttachmentId, ClientMessage, Start};
use common::tls::{Identity, ServerTls};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::{Arrival, serve};
use super::peer::{DEADLINE, Peer};
use crate::audit::{Event, ServerChange};
use crate::config::{AuditDestination, Config};
use crate::invitations::Invitations;
use crate::key_files::KeyFiles;
use crate::login::Door;
use crate::process::Account;
use crate::service::{Live, Service};

/// A server, and the directory that it lives in.
pub(super) struct World {
    directory: TempDir,
    pub(super) service: Arc<Service>,
    host_key: Arc<PrivateKey>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One on which no job goes on without a client.
    pub(super) fn without_keeping() -> Self {
        Self::with(|config| config.jobs.keep = false)
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let places = Places { config: path.into(), state: path.join("state"), home: path.into() };
        let mut config = Config::defaults(&places);
        config.audit.to = AuditDestination::File(path.join("audit"));
        config.penalties.enabled = false;
        config.limits.unauthenticated_per_source = config.limits.unauthenticated;
        change(&mut config);
        let door = Door {
            account: Account::current(None),
            keys: KeyFiles {
                authorized: config.paths.authorized_keys.clone(),
                revoked: config.paths.revoked_keys.clone(),
                revoked_is_named: config.paths.revoked_keys_named,
                trust: places.trust(),
            },
            invitations: Invitations::new(&config.paths.state_directory, places.trust()),
        };
        let host_key = Arc::new(PrivateKey::generate().unwrap());
        let tls = ServerTls::new(Arc::clone(&host_key) as Arc<dyn Identity>).unwrap();
        let service = Service::new(Live::open(config).unwrap(), door, Some(tls));
        Self { directory, service: Arc::new(service), host_key }
    }

    /// A file in the server's directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn host_key(&self) -> PublicKey {
        self.host_key.public()
    }

    /// Whose keys are good from now on.
    pub(super) fn authorize(&self, keys: &[PublicKey]) {
        let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
        fs::write(self.path("authorized_keys"), lines).unwrap();
    }

    /// Serves a peer at the other end of a Unix socket, of the server's own user.
    pub(super) fn serve_unix(&self) -> (UnixStream, JoinHandle<()>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let visitor = self.service.gate.enter(None, false).unwrap();
        let arrival = Arrival::Unix(ours, self.service.door.account.uid, visitor);
        (theirs, tokio::spawn(serve(Arc::clone(&self.service), arrival)))
    }

    /// A client at the other end of a Unix socket that was let in.
    pub(super) async fn client(&self) -> (Peer, JoinHandle<()>) {
        let (stream, serving) = self.serve_unix();
        (Peer::greeted(stream).await, serving)
    }

    /// Waits until all jobs are over and nobody has anything to ask of them, which no connection does.
    pub(super) async fn jobs_are_over(&self) {
        self.service.jobs.close();
        timeout(DEADLINE, self.service.jobs.wait()).await.expect("a job goes on");
    }

    /// Serves a peer that has connected over TCP.
    pub(super) fn serve_tcp(&self, stream: TcpStream) -> JoinHandle<()> {
        let address = stream.peer_addr().unwrap();
        let visitor = self.service.gate.enter(Some(address.ip()), false).unwrap();
        tokio::spawn(serve(Arc::clone(&self.service), Arrival::Tcp(stream, address, visitor)))
    }

    /// What the audit trail says of `event`, with all that has happened so far.
    pub(super) async fn records(&self, event: &str) -> Vec<Json> {
        self.service.live().audit.admit(&Event::Server(ServerChange::Reloaded)).await.unwrap();
        let text = fs::read_to_string(self.path("audit")).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        records.filter(|record| record["event"] == event).collect()
    }

    /// A request to run a command that leaves the file `name` behind.
    pub(super) fn start_marker(&self, name: &str) -> ClientMessage {
        let words = ["touch".into(), self.path(name).into_os_string().into()];
        start(Spec::new(Program::Argv(words.into())))
    }
}

/// A request to run this, of a client that nobody else is.
pub(super) fn start(spec: Spec) -> ClientMessage {
    let (id, attachment) = (JobId::random().unwrap(), AttachmentId::random().unwrap());
    ClientMessage::Start(Start::new(id, attachment, spec).unwrap())
}
