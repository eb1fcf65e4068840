//! Who is connected, so that a key that is taken back takes its connections along.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use common::keys::{FileError, FileProblem};

use crate::authorize::{Peer, Principal};
use crate::key_files::{KeyFiles, KeyRefusal};

/// How often the files of keys are looked at: a removed key's connections end within twice this.
const LOOK: Duration = Duration::from_secs(1);

/// The sessions of a server.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: u64,
    sessions: HashMap<u64, Session>,
}

#[derive(Debug)]
struct Session {
    principal: Principal,
    revoked: CancellationToken,
}

/// A place among the sessions; given up when dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    sessions: &'a Sessions,
    number: u64,
    /// Cancelled when its key is not good any more.
    pub(crate) revoked: CancellationToken,
}

impl Sessions {
    /// Counts somebody who was let in.
    pub(crate) fn enter(&self, principal: Principal) -> Place<'_> {
        let mut table = self.lock();
        table.last += 1;
        let (number, revoked) = (table.last, CancellationToken::new());
        table.sessions.insert(number, Session { principal, revoked: revoked.clone() });
        Place { sessions: self, number, revoked }
    }

    /// Looks at the files of keys again and again, and ends the sessions of those who would not be let in now as they
    /// were. For ever.
    pub(crate) async fn watch(&self, keys: &KeyFiles) {
        let mut seen = keys.version();
        loop {
            time::sleep(LOOK).await;
            let version = keys.version();
            if version == seen && !self.any_expired(SystemTime::now()) {
                continue;
            }
            if self.check(keys, SystemTime::now()) {
                seen = version;
            }
        }
    }

    /// Ends what is to be ended; whether that could be judged.
    fn check(&self, files: &KeyFiles, now: SystemTime) -> bool {
        let keys = match files.read() {
            Err(refusal) if is_shortage(&refusal) => return false,
            keys => keys,
        };
        for session in self.lock().sessions.values() {
            let Peer::Key { address, key } = session.principal.peer() else { continue };
            let options = keys.as_ref().map_err(ToString::to_string).and_then(|keys| {
                keys.options(key, Some(address.ip()), now).map_err(|refusal| refusal.to_string())
            });
            let reason = match options {
                Ok(options) if options == *session.principal.options() => continue,
                Ok(_) => "its options have changed".to_owned(),
                Err(reason) => reason,
            };
            if !session.revoked.is_cancelled() {
                warn!(peer = %address, key = %key.fingerprint(), reason, "ending the session of a key");
                session.revoked.cancel();
            }
        }
        true
    }

    fn any_expired(&self, now: SystemTime) -> bool {
        let expired =
            |session: &Session| session.principal.options().expires_at().is_some_and(|end| end <= now);
        self.lock().sessions.values().any(expired)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.sessions.lock().sessions.remove(&self.number);
    }
}

/// Whether it says something about this process at this moment, and nothing about the key.
fn is_shortage(refusal: &KeyRefusal) -> bool {
    let KeyRefusal::File(FileError { problem: FileProblem::System(error), .. }) = refusal else {
        return false;
    };
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}
