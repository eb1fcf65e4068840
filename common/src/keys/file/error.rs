//! What is wrong with a file, and what can be done about it. Says so; does nothing.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use thiserror::Error;

use crate::reason::system_reason;

/// A file that is not used. The local user's fault, or that of whoever made it so.
#[derive(Debug, Error)]
#[error("{}{}: {problem}", path.display(), LinkTo(link_to.as_deref()))]
pub struct FileError {
    /// The file that was asked for.
    pub path: PathBuf,
    /// Where it is, if what was asked for is a link.
    pub link_to: Option<PathBuf>,
    /// What is wrong.
    pub problem: FileProblem,
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum FileProblem {
    /// It cannot be opened or read.
    #[error("{}", system_reason(.0))]
    System(io::Error),
    /// It is a link, and there is nothing where it leads. Not the same as no file: somebody meant one.
    #[error("it is a link that leads nowhere")]
    DanglingLink,
    /// Reading it may wait, or never end.
    #[error("it is {kind}, not a file")]
    NotRegular {
        /// What it is instead, with its article.
        kind: &'static str,
    },
    /// Longer than anything of its kind has to be.
    #[error("it has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// It belongs to somebody else, who can write to it.
    #[error("{place} belongs to uid {owner}, not to uid {uid}")]
    Owner {
        /// What.
        place: Place,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        uid: u32,
    },
    /// Others can write to it.
    #[error("{place} can be changed by others (mode {mode:04o})")]
    Writable {
        /// What.
        place: Place,
        /// Its permission bits.
        mode: u32,
        /// Whether it is the user's, who can change them.
        own: bool,
    },
    /// A secret that is none.
    #[error("it is a secret, and open to others (mode {mode:04o})")]
    NotPrivate {
        /// Its permission bits.
        mode: u32,
    },
    /// This process can read it, but the user could not.
    #[error("it may not be read by uid {uid} (mode {mode:04o})")]
    NotReadable {
        /// Its permission bits.
        mode: u32,
        /// The user.
        uid: u32,
    },
}

impl From<io::Error> for FileProblem {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Errno> for FileProblem {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

/// What it is that something is wrong with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file.
    File,
    /// A directory above it.
    Directory(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("it"),
            Self::Directory(path) => write!(f, "directory {}", path.display()),
        }
    }
}

/// What stands behind the path of a link.
struct LinkTo<'a>(Option<&'a Path>);

impl fmt::Display for LinkTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |path| write!(f, " (a link to {})", path.display()))
    }
}

/// What to do about a file that lies where others can reach it.
const MOVE: &str = "keep it in a directory that only you can write to";

/// What to do about a file that is not the user's.
const REPLACE: &str = "put a file of your own in its place";

impl FileError {
    pub(in crate::keys) fn new(path: &Path, problem: FileProblem) -> Self {
        let link_to = path.is_symlink().then(|| fs::canonicalize(path).ok()).flatten();
        Self { path: path.to_owned(), link_to, problem }
    }

    /// What the user can do about it, as an order: a line for the shell wherever there is one.
    pub fn advice(&self) -> Option<String> {
        let order = match &self.problem {
            FileProblem::System(_) => return None,
            FileProblem::DanglingLink => "mend the link or take it away".to_owned(),
            FileProblem::NotRegular { .. } => "put an ordinary file in its place".to_owned(),
            FileProblem::TooLarge { limit, .. } => format!("keep it below {limit} bytes"),
            FileProblem::Owner { place: Place::Directory(_), .. } => MOVE.to_owned(),
            FileProblem::Owner { uid, .. } => {
                format!("if you know what is in it, chown {uid} {}", self.file_word())
            }
            FileProblem::Writable { place: Place::Directory(path), mode, own: true }
                // Nobody is to be told to close /tmp.
                if mode & STICKY == 0 =>
            {
                format!("chmod go-w {}", word(path))
            }
            FileProblem::Writable { place: Place::Directory(_), .. } => MOVE.to_owned(),
            FileProblem::Writable { own: true, .. } => self.change("chmod go-w"),
            FileProblem::NotPrivate { .. } => self.change("chmod 600"),
            FileProblem::Writable { .. } | FileProblem::NotReadable { .. } => REPLACE.to_owned(),
        };
        Some(order)
    }

    /// Behind a link may be a file that serves others as it is.
    fn change(&self, command: &str) -> String {
        let condition = if self.link_to.is_some() { "if that is the file you mean, " } else { "" };
        format!("{condition}{command} {}", self.file_word())
    }

    fn file_word(&self) -> String {
        word(self.link_to.as_deref().unwrap_or(&self.path))
    }
}

/// The sticky bit (inode(7)).
const STICKY: u32 = 0o1000;

/// `path` as one word of a POSIX shell.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%:=".contains(c);
    if text.chars().all(is_plain) && !text.starts_with('-') {
        return text;
    }
    let dashed = if text.starts_with('-') { "./" } else { "" };
    format!("'{dashed}{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_quoted_only_where_a_shell_would_misread_it() {
        for (path, expected) in [
            ("/home/ann/.config/telex/authorized_keys", "/home/ann/.config/telex/authorized_keys"),
            ("/größe", "/größe"),
            ("/a b", "'/a b'"),
            ("/it's", r"'/it'\''s'"),
            ("/$(id)", "'/$(id)'"),
            ("-rf", "'./-rf'"),
            ("", ""),
        ] {
            assert_eq!(word(Path::new(path)), expected);
        }
    }
}
