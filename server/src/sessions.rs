//! Who is connected, so that a key that is taken back takes its connections along.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::authorize::{Peer, Principal};
use crate::key_files::{FileVersion, KeyFiles, KeyRefusal, Keys};
use crate::reserve::Reserve;

/// How often the files of keys are looked at: a removed key's connections end within twice this.
const LOOK: Duration = Duration::from_secs(1);

/// What reading a file takes whose directories are checked: two of them and the file at one time, and one to spare.
const DESCRIPTORS: usize = 4;

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
    revoked: Revoked,
    /// Whether its key was good after it came: the files may have changed between its login and that.
    judged: bool,
}

/// Whether a session has to end.
#[derive(Debug, Clone, Default)]
struct Revoked {
    token: CancellationToken,
    reason: Arc<OnceLock<String>>,
}

/// That somebody is among the sessions; until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    sessions: &'a Sessions,
    number: u64,
    revoked: Revoked,
}

impl Sessions {
    /// Counts somebody who was let in.
    pub(crate) fn enter(&self, principal: Principal) -> Entry<'_> {
        let mut table = self.lock();
        table.last += 1;
        let (number, revoked) = (table.last, Revoked::default());
        let judged = matches!(principal.peer(), Peer::User { .. });
        table.sessions.insert(number, Session { principal, revoked: revoked.clone(), judged });
        Entry { sessions: self, number, revoked }
    }

    /// Looks at the files of keys again and again, and ends the sessions of those who would not be let in now as they
    /// were. For ever.
    pub(crate) async fn watch(&self, keys: &KeyFiles) {
        let mut watch = Watch { seen: keys.version(), reserve: Reserve::new(DESCRIPTORS), blind: false };
        loop {
            time::sleep(LOOK).await;
            watch.look(keys, self, SystemTime::now());
        }
    }

    /// Ends those that `keys` do not let in; all are judged, or only those who have something new about them.
    fn judge(&self, keys: &Result<Keys, KeyRefusal>, all: bool, now: SystemTime) {
        for session in self.lock().sessions.values_mut() {
            if all || session.is_to_be_judged(now) {
                session.judge(keys, now);
            }
        }
    }

    fn any_to_be_judged(&self, now: SystemTime) -> bool {
        self.lock().sessions.values().any(|session| session.is_to_be_judged(now))
    }

    /// See [`Service::pulse`](crate::service::Service::pulse).
    pub(crate) fn pulse(&self) {
        drop(self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the files from look to look.
#[derive(Debug)]
struct Watch {
    /// What the sessions were judged by.
    seen: [FileVersion; 2],
    reserve: Reserve,
    /// Whether the files could not be read the last time, for want of descriptors or memory.
    blind: bool,
}

impl Watch {
    fn look(&mut self, files: &KeyFiles, sessions: &Sessions, now: SystemTime) {
        let version = files.version();
        let changed = version != self.seen;
        if !changed && !sessions.any_to_be_judged(now) {
            self.blind = false;
            return;
        }
        let keys = self.reserve.try_with(|| files.read(), KeyRefusal::is_shortage);
        let blind = keys.as_ref().is_err_and(KeyRefusal::is_shortage);
        if blind && !self.blind {
            // Once more, and then whoever cannot be judged is taken for somebody who is not let in.
            warn!("cannot read the files of keys: no descriptors or memory left");
            self.blind = true;
            return;
        }
        self.blind = blind;
        sessions.judge(&keys, changed, now);
        self.seen = version;
    }
}

impl Session {
    fn is_to_be_judged(&self, now: SystemTime) -> bool {
        !self.judged || self.principal.options().is_over(now)
    }

    fn judge(&mut self, keys: &Result<Keys, KeyRefusal>, now: SystemTime) {
        self.judged = true;
        let Peer::Key { address, key } = self.principal.peer() else { return };
        let options = keys.as_ref().map_err(ToString::to_string).and_then(|keys| {
            keys.options(key, Some(address.ip()), now).map_err(|refusal| refusal.to_string())
        });
        let reason = match options {
            Ok(options) if options == *self.principal.options() => return,
            Ok(_) => "the options of its key have changed".to_owned(),
            Err(reason) => reason,
        };
        if !self.revoked.token.is_cancelled() {
            warn!(peer = %address, key = %key.fingerprint(), reason, "ending the session of a key");
            self.revoked.reason.set(reason).ok();
            self.revoked.token.cancel();
        }
    }
}

impl Entry<'_> {
    /// Waits until its key is not good any more.
    pub(crate) async fn revoked(&self) {
        self.revoked.token.cancelled().await;
    }

    /// Why its key is not good any more, if it is so.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.revoked.reason.get().map(String::as_str)
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.sessions.lock().sessions.remove(&self.number);
    }
}
