//! The files of lines typed before, one for each server: the user's own and nobody else's, since lines may hold secrets.
//!
//! One line of the file is one that was typed; what was several has `\n` in it. Several programs may add to one file.

use std::collections::HashSet;
use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::{REMEMBERED, is_kept};

/// How much of a file is read, from its end.
const READ: u64 = 16 * 1024 * 1024;

/// How many lines a file may have beyond those that count before it is written anew.
const SLACK: usize = 1000;

/// How long another program may be at the file.
const PATIENCE: Duration = Duration::from_millis(500);

/// From one try to the next.
const PAUSE: Duration = Duration::from_millis(5);

/// Most bytes of the name of a file.
const NAME: usize = 200;

/// Where the lines for one server are.
#[derive(Debug)]
pub(super) struct HistoryFile {
    path: PathBuf,
}

impl HistoryFile {
    /// The file for the server that the user calls `host`, and the lines in it, the last at the end; `None` if there is
    /// no place for it.
    pub(super) fn of_host(host: &str) -> Option<(Self, Vec<String>)> {
        let state = state()?;
        let name = name(host)?;
        let before = make_directory(&state).ok()?;
        Self::open(state.join("history").join(name), &before).ok()
    }

    /// The file at `path`. If there is none, it begins with what is in the one at `before`, which is from a time when
    /// all servers had one.
    fn open(path: PathBuf, before: &Path) -> io::Result<(Self, Vec<String>)> {
        let file = Self { path };
        let mut locked = file.locked()?;
        let is_new = locked.metadata()?.len() == 0;
        let text = if is_new { read_before(before) } else { read_end(&mut locked)? };
        let (found, lines) = lines_of(&text, if is_new { decode_before } else { decode });
        if (is_new && !lines.is_empty()) || found > lines.len() + SLACK {
            file.rewrite(&lines)?;
        }
        Ok((file, lines))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::WouldBlock`] if another program is at the file for too long.
    pub(super) fn append(&self, line: &str) -> io::Result<()> {
        let mut file = self.locked()?;
        let mut text = encode(line);
        // One that was cut off stays by itself.
        let length = file.metadata()?.len();
        let mut last = [0];
        if length > 0 && file.read_at(&mut last, length - 1)? == 1 && last != *b"\n" {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())
    }

    /// The file, which nobody else changes until it is closed.
    fn locked(&self) -> io::Result<File> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = self.open_private()?;
            lock(&file, deadline)?;
            // Another program may have put a new one in its place meanwhile.
            let (found, here) = (fs::symlink_metadata(&self.path), file.metadata()?);
            if found.is_ok_and(|found| (found.dev(), found.ino()) == (here.dev(), here.ino())) {
                return Ok(file);
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }

    fn open_private(&self) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(flags.cast_signed());
        let file = options.open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if metadata.mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }

    /// Puts a file with these lines in its place, whole or not at all.
    fn rewrite(&self, lines: &[String]) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(format!(".{}", process::id()));
        let new = PathBuf::from(new);
        let text: String = lines.iter().map(|line| encode(line)).collect();
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
        let written = written.and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        });
        if written.is_err() {
            fs::remove_file(&new).ok();
        }
        written
    }
}

/// `$XDG_STATE_HOME/telex`, or below `~/.local/state`; `None` without a home.
fn state() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("telex"))
}

/// Makes the directory of the files, or takes from others what they may do with it. Where the file of all servers is,
/// which had its name.
fn make_directory(state: &Path) -> io::Result<PathBuf> {
    let directory = state.join("history");
    let before = state.join("history.old");
    if fs::symlink_metadata(&directory).is_ok_and(|found| found.is_file()) {
        match fs::rename(&directory, &before) {
            // Somebody else was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for directory in [state, &directory] {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let found = File::open(directory)?;
        if found.metadata()?.mode() & 0o077 != 0 {
            found.set_permissions(Permissions::from_mode(0o700))?;
        }
    }
    Ok(before)
}

/// The name of the file for a server: its own, with what no name can hold written as `%XX`; `None` if that is too long.
fn name(host: &str) -> Option<String> {
    let mut name = String::new();
    for (index, c) in host.char_indices() {
        match c {
            '/' | '%' => name.push_str(&format!("%{:02X}", u32::from(c))),
            '.' if index == 0 => name.push_str("%2E"),
            c if c.is_control() => name.push_str(&format!("%{:02X}", u32::from(c))),
            c => name.push(c),
        }
    }
    (!name.is_empty() && name.len() <= NAME).then_some(name)
}

fn lock(file: &File, deadline: Instant) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
        }
    }
}

/// The end of a file, from the first whole line on.
fn read_end(file: &mut File) -> io::Result<Vec<u8>> {
    let skipped = file.metadata()?.len().saturating_sub(READ);
    file.seek(SeekFrom::Start(skipped))?;
    let mut text = Vec::new();
    file.take(READ).read_to_end(&mut text)?;
    if skipped > 0 {
        let first = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        text.drain(..first);
    }
    Ok(text)
}

/// The file of all servers, if there is one that can be read.
fn read_before(path: &Path) -> Vec<u8> {
    let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    let file = if is_file { File::open(path).ok() } else { None };
    file.and_then(|mut file| read_end(&mut file).ok()).unwrap_or_default()
}

/// The lines in `text`, each once where it was last, as many as are remembered; and how many there were in all. What is
/// damaged is left out.
fn lines_of(text: &[u8], decode: fn(&str) -> String) -> (usize, Vec<String>) {
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    let mut found = 0;
    for line in text.split(|byte| *byte == b'\n').rev() {
        found += usize::from(!line.is_empty());
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let line = decode(line);
        if lines.len() < REMEMBERED && is_kept(&line) && seen.insert(line.clone()) {
            lines.push(line);
        }
    }
    lines.reverse();
    (found, lines)
}

/// A line of the file, with its end.
fn encode(line: &str) -> String {
    let mut text = line.replace('\\', "\\\\").replace('\n', "\\n");
    text.push('\n');
    text
}

fn decode(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            ('\\', Some('n')) => {
                rest.next();
                line.push('\n');
            }
            ('\\', Some('\\')) => {
                rest.next();
                line.push('\\');
            }
            _ => line.push(c),
        }
    }
    line
}

/// The way in which the file of all servers is written.
fn decode_before(text: &str) -> String {
    text.replace("<\\n>", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> (HistoryFile, Vec<String>) {
        HistoryFile::open(path.to_owned(), Path::new("/no/such/file")).unwrap()
    }

    #[test]
    fn lines_come_back_as_they_were() {
        for line in ["ls", "a\nb\\nc\\", "\\", "echo '\\n'\n", "<\\n>"] {
            let text = encode(line);
            assert!(!text.trim_end_matches('\n').contains('\n'), "{text:?}");
            assert_eq!(decode(text.strip_suffix('\n').unwrap()), line);
        }
        assert_eq!(decode("a\\xb\\"), "a\\xb\\");
    }

    #[test]
    fn a_file_is_read_again_and_is_the_users_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h");
        let (file, lines) = open(&path);
        assert!(lines.is_empty());
        for line in ["a", "b\nc", "a"] {
            file.append(line).unwrap();
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(open(&path).1, ["b\nc", "a"]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn damaged_lines_are_left_out_and_harm_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h");
        fs::write(&path, b"one\n\xff\xfe\n\x1b[2J\n\n\0\ntwo\ncut o").unwrap();
        let (file, lines) = open(&path);
        assert_eq!(lines, ["one", "two", "cut o"]);
        file.append("three").unwrap();
        assert_eq!(open(&path).1, ["one", "two", "cut o", "three"]);
    }

    #[test]
    fn many_write_at_once_and_a_file_is_made_smaller_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h");
        fs::write(&path, "again\n".repeat(SLACK * 2)).unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    let (file, _) = open(path);
                    for number in 0..50 {
                        file.append(&format!("{writer} {number}")).unwrap();
                    }
                });
            }
        });
        let (_, lines) = open(&path);
        assert_eq!(lines.len(), 1 + 4 * 50);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_program_at_the_file_is_waited_for_in_vain_for_a_while_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h");
        let (file, _) = open(&path);
        let other = file.locked().unwrap();
        assert_eq!(file.append("a").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(other);
        file.append("a").unwrap();
        assert_eq!(open(&path).1, ["a"]);
    }

    #[test]
    fn the_file_of_all_servers_is_where_a_new_one_begins() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("history"), "one<\\n>two\nthree\nthree\n").unwrap();
        let before = make_directory(state.path()).unwrap();
        let path = state.path().join("history/db1");
        let (file, lines) = HistoryFile::open(path.clone(), &before).unwrap();
        assert_eq!(lines, ["one\ntwo", "three"]);
        file.append("four").unwrap();
        let before = make_directory(state.path()).unwrap();
        assert_eq!(HistoryFile::open(path, &before).unwrap().1, ["one\ntwo", "three", "four"]);
        let mode = fs::metadata(state.path().join("history")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("h");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(HistoryFile::open(path, Path::new("/no/such/file")).is_err());
        let mode = fs::metadata("/dev/null").unwrap().mode();
        assert_eq!(mode & 0o777, 0o666);
    }

    #[test]
    fn every_server_has_a_name_for_its_file() {
        assert_eq!(name("ann@db1.example:9000").unwrap(), "ann@db1.example:9000");
        assert_eq!(name("[::1]:9000").unwrap(), "[::1]:9000");
        assert_eq!(name("unix:/run/a%b").unwrap(), "unix:%2Frun%2Fa%25b");
        assert_eq!(name("..").unwrap(), "%2E.");
        assert_eq!(name("a\nb").unwrap(), "a%0Ab");
        assert_eq!(name(&"x".repeat(NAME + 1)), None);
        assert_eq!(name(""), None);
    }
}
