//! A Unix socket that only its owner can reach: in a directory of its own, closed to everyone else.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use common::endpoint::Endpoint;
use common::reason::system_reason;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};

use crate::error::StartError;

/// A bound socket; the file is removed when this is dropped, if it is ours to remove.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Held as long as the socket is ours: what tells a socket in use from one that a killed server left behind.
    lock: OwnedFd,
    /// Whether the socket goes with this.
    removes: bool,
}

impl UnixSocket {
    /// Binds `path`, making its directory if there is none, and taking the place of a server that is gone.
    ///
    /// # Errors
    /// [`StartError`] if the directory is not private, or if a server lives there.
    pub(super) fn bind(path: &Path) -> Result<Self, StartError> {
        let listen_error = |source| StartError::Listen { endpoint: Endpoint::Unix(path.to_owned()), source };
        make_private(path.parent().unwrap_or(path))?;
        let lock = lock(path)?;
        remove_stale(path).map_err(listen_error)?;
        let listener = UnixListener::bind(path).map_err(listen_error)?;
        // The directory keeps others out; this says so to whoever looks.
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(listen_error)?;
        Ok(Self { listener, path: path.to_owned(), lock, removes: true })
    }

    /// Goes on with a socket that somebody else has bound to `path`, with the lock if they had it; `removes` if the file is
    /// to be removed in the end. Its directory must be private already.
    ///
    /// # Errors
    /// [`StartError`] if the directory is not private, if the socket is not there any more, or if a server lives there.
    pub(super) fn adopt(
        listener: UnixListener,
        path: &Path,
        held: Option<OwnedFd>,
        removes: bool,
    ) -> Result<Self, StartError> {
        let listen_error = |source| StartError::Listen { endpoint: Endpoint::Unix(path.to_owned()), source };
        check_private(path.parent().unwrap_or(path))?;
        let lock = held.map_or_else(|| lock(path), Ok)?;
        let found = fs::symlink_metadata(path).map_err(listen_error)?;
        if !found.file_type().is_socket() {
            return Err(listen_error(no_socket()));
        }
        Ok(Self { listener, path: path.to_owned(), lock, removes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    pub(super) fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Has the file stay when this is dropped.
    pub(super) fn leave_file(&mut self) {
        self.removes = false;
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if self.removes {
            // If it cannot be removed, the next server will, by the lock.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Takes the lock on `path`.
fn lock(path: &Path) -> Result<OwnedFd, StartError> {
    let endpoint = || Endpoint::Unix(path.to_owned());
    let file = open_lock(path).map_err(|source| StartError::Listen { endpoint: endpoint(), source })?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| StartError::InUse { endpoint: endpoint() })?;
    Ok(file.into())
}

fn no_socket() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")
}

/// A file beside the socket, whatever the socket is called; what may be in it is left alone.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(no_follow).open(name)
}

/// Removes the socket of a server that is gone, and nothing that is not a socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(no_socket()),
    }
}

/// Whether `path` has a directory that is private, or none yet. Changes nothing.
///
/// # Errors
/// [`StartError::NotPrivate`].
pub(crate) fn check(path: &Path) -> Result<(), StartError> {
    let directory = path.parent().unwrap_or(path);
    match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => check_private(directory),
    }
}

fn make_private(directory: &Path) -> Result<(), StartError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        let reason = format!("it cannot be made: {}", system_reason(&error));
        StartError::NotPrivate { directory: directory.to_owned(), reason }
    })?;
    check_private(directory)
}

fn check_private(directory: &Path) -> Result<(), StartError> {
    let not_private = |reason: String| StartError::NotPrivate { directory: directory.to_owned(), reason };
    let found = fs::symlink_metadata(directory).map_err(|error| not_private(system_reason(&error)))?;
    if !found.is_dir() {
        return Err(not_private("it is not a directory".to_owned()));
    }
    if found.uid() != geteuid().as_raw() {
        return Err(not_private(format!("it belongs to uid {}", found.uid())));
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(not_private(format!("its mode is {mode:04o}, not 0700")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("own").join("server.sock")
    }

    #[tokio::test]
    async fn the_directory_is_made_private_and_the_socket_goes_with_its_owner() {
        let temporary = tempfile::tempdir().unwrap();
        let socket = UnixSocket::bind(&at(&temporary)).unwrap();
        assert_eq!(fs::metadata(at(&temporary).parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(at(&temporary)).unwrap().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!at(&temporary).exists());
    }

    #[tokio::test]
    async fn a_second_server_is_refused_and_a_dead_one_replaced() {
        let temporary = tempfile::tempdir().unwrap();
        let first = UnixSocket::bind(&at(&temporary)).unwrap();
        assert!(matches!(UnixSocket::bind(&at(&temporary)), Err(StartError::InUse { .. })));
        drop(first);
        // What a killed server leaves behind.
        drop(std::os::unix::net::UnixListener::bind(at(&temporary)).unwrap());
        assert!(UnixSocket::bind(&at(&temporary)).is_ok());
    }

    #[tokio::test]
    async fn a_directory_that_others_can_enter_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("open");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        let refused = UnixSocket::bind(&directory.join("server.sock"));
        assert!(matches!(refused, Err(StartError::NotPrivate { .. })));
    }
}
