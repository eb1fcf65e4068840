//! The file of lines typed before: the user's own and nobody else's, since lines may hold secrets.

use std::env;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where it is: `$XDG_STATE_HOME/telex/history`, or below `~/.local/state`; `None` without a home.
pub(crate) fn path() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("telex/history"))
}

/// Makes the file and its directory, or takes from others what they may do with them.
///
/// # Errors
/// The system's.
pub(crate) fn prepare(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        File::open(directory)?.set_permissions(Permissions::from_mode(0o700))?;
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}
