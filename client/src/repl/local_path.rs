//! Paths on this side, as somebody writes them at the prompt, where no shell reads them.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The path that is `written`, with `~` for the home directory.
pub(super) fn local(written: &[u8]) -> PathBuf {
    let path = Path::new(OsStr::from_bytes(written));
    match (path.strip_prefix("~"), env::var_os("HOME")) {
        (Ok(rest), Some(home)) if written == b"~" => Path::new(&home).join(rest),
        (Ok(rest), Some(home)) => {
            let slash = if written.ends_with(b"/") { "/" } else { "" };
            let mut path = Path::new(&home).join(rest).into_os_string();
            path.push(slash);
            path.into()
        }
        _ => path.to_owned(),
    }
}
