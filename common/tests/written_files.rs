//! Files that several processes write to, and files that there is no room for. The processes are this program again,
//! told to do the part of one test that is ignored otherwise.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use common::keys::{WriteError, append_line, create_private};

const FILE: &str = "TEST_FILE";
const WRITER: &str = "TEST_WRITER";
const LINES: usize = 20;

/// Starts `part` in a process of its own, as the last word of this shell command.
fn start(command: &str, part: &str, file: &Path, writer: &str) -> Child {
    let program = env::current_exe().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{command} exec \"$0\" --exact --ignored {part}")]).arg(program);
    shell.env(FILE, file).env(WRITER, writer).stdout(Stdio::null()).spawn().unwrap()
}

/// Adds a line, whatever the file says.
fn append(path: &Path, line: &str, mode: u32) -> Result<(), WriteError> {
    append_line(path, line, mode, |_, _| Ok(true))
}

fn file() -> PathBuf {
    env::var_os(FILE).unwrap().into()
}

#[test]
fn processes_that_add_lines_at_the_same_time_lose_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("made/file");
    let writers = ["a", "b", "c"].map(|writer| start("", "part_add_lines", &file, writer));
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let mut lines: Vec<_> = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    let expected = ["a", "b", "c"].map(|writer| (0..LINES).map(move |line| format!("{writer} {line:02}")));
    assert_eq!(lines, expected.into_iter().flatten().collect::<Vec<_>>());
}

#[test]
#[ignore = "a part of another test"]
fn part_add_lines() {
    let writer = env::var(WRITER).unwrap();
    for line in 0..LINES {
        append(&file(), &format!("{writer} {line:02}"), 0o600).unwrap();
    }
}

/// A limit on the size of files stands for a full disk, which takes root to make.
#[test]
fn where_there_is_no_room_the_old_file_stays_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    // Its lock would lie there, too, if others could open it.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "old\n").unwrap();
    let mut writer = start("trap '' XFSZ; ulimit -f 8;", "part_write_too_much", &file, "");
    assert!(writer.wait().unwrap().success());
    assert_eq!(fs::read(&file).unwrap(), b"old\n");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
#[ignore = "a part of another test"]
fn part_write_too_much() {
    let new = file().with_extension("new");
    let error = create_private(&new, &[b'x'; 100_000]).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot write {}: file too large", new.display()));
    assert!(append(&file(), &"x".repeat(100_000), 0o600).is_err());
}
