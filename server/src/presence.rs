//! Which servers of this user there are: a small file for each, so that `server upgrade` finds them and learns what came of it.
//!
//! Nothing depends on these files but that. One that is left behind by a server that was killed names a process that is gone,
//! or is another one, which its start tells.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use common::keys::{FileError, Trust, read_trusted};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::process::{machine, started};

/// How the names of the files end.
const FILE: &str = "json";

/// Bytes of a file that are read.
const FILE_BYTES: usize = 64 * 1024;

/// Files that are looked at. There are as many as servers, and those that were killed.
const FILES: usize = 1000;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Presence {
    /// Its process id.
    pub(crate) process: u32,
    /// When that process was started; compared only.
    pub(crate) started: String,
    /// Of the program.
    pub(crate) version: String,
    /// Where it listens.
    pub(crate) listening: Vec<String>,
    /// How many programs were before it in this process.
    pub(crate) upgrades: u32,
    /// How many upgrades came to nothing.
    pub(crate) failed_upgrades: u32,
    /// Why the last of those did.
    pub(crate) failure: Option<String>,
}

/// The file of this server; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct PresenceFile {
    path: PathBuf,
    presence: Presence,
}

/// A server that is there.
#[derive(Debug)]
pub(crate) struct Present {
    /// What it says.
    pub(crate) presence: Presence,
    /// The process itself, whatever becomes of its number.
    pub(crate) process: OwnedFd,
}

impl PresenceFile {
    /// Has this server be found in `state_directory`.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn new(
        state_directory: &Path,
        version: String,
        listening: Vec<String>,
        upgrades: u32,
    ) -> io::Result<Self> {
        let process = std::process::id();
        let presence = Presence {
            process,
            started: started(process)?.to_string(),
            version,
            listening,
            upgrades,
            failed_upgrades: 0,
            failure: None,
        };
        let directory = directory(state_directory);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let file = Self { path: path(state_directory, process)?, presence };
        file.write()?;
        Ok(file)
    }

    /// An upgrade came to nothing.
    ///
    /// # Errors
    /// The system's; then nobody learns of it here.
    pub(crate) fn upgrade_failed(&mut self, reason: String) -> io::Result<()> {
        self.presence.failed_upgrades += 1;
        self.presence.failure = Some(reason);
        self.write()
    }

    /// Whoever reads it finds it whole. After a power cut it need not be there.
    fn write(&self) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let bytes = serde_json::to_vec(&self.presence)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        fs::rename(&new, &self.path)
    }
}

impl Drop for PresenceFile {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

/// What was found where servers say that they are there.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The servers.
    pub(crate) servers: Vec<Present>,
    /// Why a file that may be a server's is not believed: the last such.
    pub(crate) distrusted: Option<FileError>,
}

/// The servers that are there, of those that use `state_directory`. Files of servers that are gone are removed; not those of
/// other machines, which may share the directory.
///
/// # Errors
/// The system's; a directory that is not there has nobody in it.
pub(crate) fn present(state_directory: &Path, trust: &Trust) -> io::Result<Found> {
    let entries = match fs::read_dir(directory(state_directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
        entries => entries?,
    };
    let here = machine()?;
    let is_of_here = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&here))
            && path.extension().is_some_and(|extension| extension == FILE)
    };
    let mut found = Found::default();
    for path in entries.flatten().map(|entry| entry.path()).filter(is_of_here).take(FILES) {
        match look(&path, trust) {
            Look::There(present) => found.servers.push(present),
            Look::Gone => drop(fs::remove_file(&path)),
            Look::Distrusted(error) => found.distrusted = Some(error),
            Look::Unknown => {}
        }
    }
    found.servers.sort_by_key(|present| present.presence.process);
    Ok(found)
}

/// What `present` says of itself now; `None` if it is gone.
pub(crate) fn again(state_directory: &Path, trust: &Trust, present: &Presence) -> Option<Presence> {
    match look(&path(state_directory, present.process).ok()?, trust) {
        Look::There(found) => Some(found.presence),
        Look::Gone | Look::Distrusted(_) | Look::Unknown => None,
    }
}

enum Look {
    There(Present),
    Gone,
    /// Others could have written it, or it cannot be read.
    Distrusted(FileError),
    /// It is no such file.
    Unknown,
}

fn look(path: &Path, trust: &Trust) -> Look {
    let bytes = match read_trusted(path, trust, FILE_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Look::Unknown,
        Err(error) => return Look::Distrusted(error),
    };
    let Ok(presence) = serde_json::from_slice::<Presence>(&bytes) else { return Look::Unknown };
    let Some(id) = i32::try_from(presence.process).ok().and_then(Pid::from_raw) else { return Look::Unknown };
    // The descriptor first: what is found out after that is about the process that it stands for.
    let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else { return Look::Gone };
    if started(presence.process).ok().map(|ticks| ticks.to_string()).as_ref() != Some(&presence.started) {
        return Look::Gone;
    }
    Look::There(Present { presence, process })
}

fn path(state_directory: &Path, process: u32) -> io::Result<PathBuf> {
    Ok(directory(state_directory).join(format!("{}{process}.{FILE}", machine()?)))
}

fn directory(state_directory: &Path) -> PathBuf {
    state_directory.join("servers")
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn trust(directory: &Path) -> Trust {
        Trust { home: directory.to_owned(), ..Trust::current() }
    }

    #[test]
    fn a_server_is_found_until_it_is_gone() {
        let temporary = tempfile::tempdir().unwrap();
        let (state, trust) = (temporary.path().join("state"), trust(temporary.path()));
        assert!(present(&state, &trust).unwrap().servers.is_empty());
        let mut file = PresenceFile::new(&state, "1".to_owned(), vec!["127.0.0.1:1".to_owned()], 2).unwrap();
        let [found] = &present(&state, &trust).unwrap().servers[..] else { panic!("one server") };
        assert_eq!((found.presence.process, found.presence.upgrades), (std::process::id(), 2));
        file.upgrade_failed("no".to_owned()).unwrap();
        let now = again(&state, &trust, &found.presence).unwrap();
        assert_eq!((now.failed_upgrades, now.failure.as_deref()), (1, Some("no")));
        drop(file);
        assert!(present(&state, &trust).unwrap().servers.is_empty());
        assert!(again(&state, &trust, &now).is_none());
    }

    #[test]
    fn what_a_killed_server_has_left_names_nobody_and_is_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let (state, trust) = (temporary.path().join("state"), trust(temporary.path()));
        let mut file = PresenceFile::new(&state, String::new(), Vec::new(), 0).unwrap();
        // Another process has its number now.
        file.presence.started = "before".to_owned();
        file.write().unwrap();
        assert!(present(&state, &trust).unwrap().servers.is_empty());
        assert!(!file.path.exists());
        file.write().unwrap();
        let bytes = fs::read(&file.path).unwrap();
        let (unknown, elsewhere) = (path(&state, 7).unwrap(), file.path.with_file_name("other.1.7.json"));
        fs::write(&unknown, "{").unwrap();
        fs::write(&elsewhere, bytes).unwrap();
        assert!(present(&state, &trust).unwrap().servers.is_empty());
        assert!(unknown.exists(), "what is not understood is left alone");
        assert!(elsewhere.exists(), "and so is what another machine has written");
    }

    #[test]
    fn a_file_that_others_could_have_written_is_no_server_and_why_is_said() {
        let temporary = tempfile::tempdir().unwrap();
        let (state, trust) = (temporary.path().join("state"), trust(temporary.path()));
        let _file = PresenceFile::new(&state, String::new(), Vec::new(), 0).unwrap();
        fs::set_permissions(&state, Permissions::from_mode(0o777)).unwrap();
        let found = present(&state, &trust).unwrap();
        assert!(found.servers.is_empty());
        let advice = found.distrusted.unwrap().advice().unwrap();
        assert_eq!(advice, format!("chmod go-w {}", state.canonicalize().unwrap().display()));
    }
}
