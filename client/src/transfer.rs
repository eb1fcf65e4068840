//! Files and directories to the server and back, over ordinary jobs.
//!
//! A copy grows beside its place, under a name of its own (`.NAME.telex-part`), and gets its final name when its hash is that of the
//! original: nobody meets half a file. What an earlier try has left there is gone on with, as far as it is a beginning of the original.
//! Both ways go the same rounds: look at what is there, compare hashes, copy what is missing; until nothing is.
//!
//! - `plan`: what is to be done, `listing`: what the server says about files; both pure
//! - `local`: this side's files; `remote` and `remote.sh`: the server's shell
//! - `put`, `get`: the two ways; `progress`: how far they have come
//!
//! Nothing here prints or asks.

mod error;
mod get;
mod hash;
mod listing;
mod local;
mod plan;
mod progress;
mod put;
mod remote;

use std::path::Path;

pub use self::error::{Side, TransferError};
pub use self::plan::ListingError;
use self::progress::Meter;
pub use self::progress::{Phase, Progress};
use crate::Client;

/// How often a copy is compared with its original: once when it is made, and twice more for one that has changed meanwhile.
const ROUNDS: usize = 3;

/// Bytes of small files that travel in one job. Each costs a round trip and two processes, which this outweighs; more would only
/// be lost at a cut.
const BATCH_BYTES: u64 = 1024 * 1024;

/// Names in one argv: half of what the least of systems grants it (128 KiB).
const ARGUMENT_BYTES: u64 = 64 * 1024;

/// Copies files and directories from and to a server. Dropping its futures stops it; the same transfer then goes on.
pub struct Transfer<'a> {
    client: &'a Client,
    directory: Option<&'a [u8]>,
    force: bool,
    told: &'a dyn Fn(&Progress),
}

/// What was transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Where it is now. Not to be printed unescaped.
    pub target: Vec<u8>,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were copied now, not by an earlier try.
    pub copied: u64,
    /// Devices, sockets and FIFOs that were left out, below what was named. Not to be printed unescaped.
    pub left_out: Vec<Vec<u8>>,
}

impl<'a> Transfer<'a> {
    /// Transfers from and to this server.
    pub fn new(client: &'a Client) -> Self {
        Self { client, directory: None, force: false, told: &|_| {} }
    }

    /// The directory on the server that paths there count from; the home directory unless set.
    pub fn directory(mut self, directory: &'a [u8]) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Whether a file that is in the way is replaced, and a directory filled up.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Is told how far it has come, often.
    pub fn progress(mut self, told: &'a dyn Fn(&Progress)) -> Self {
        self.told = told;
        self
    }

    /// Copies `local` to the server: to `remote`, or into it if that is a directory.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn put(&self, local: &Path, remote: &[u8]) -> Result<Moved, TransferError> {
        put::Put::new(self, local, remote)?.run().await
    }

    /// Copies `remote` from the server: to `local`, or into it if that is a directory.
    ///
    /// # Errors
    /// [`TransferError`].
    pub async fn get(&self, remote: &[u8], local: &Path) -> Result<Moved, TransferError> {
        get::Get::new(self, remote, local)?.run().await
    }

    fn meter(&self, name: Option<&[u8]>) -> Meter<'a> {
        Meter::new(self.told, name.unwrap_or_default())
    }
}

/// Runs what may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only when the runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        },
    }
}
