//! Files that are made, added to and changed, also by several at a time.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::thread;

use tempfile::TempDir;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Everything in a directory, so that nothing is left behind unseen; but for the lock of one that others can open.
fn names(directory: &TempDir) -> BTreeSet<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".telex-lock").collect()
}

/// Adds a line, whatever the file says.
fn append(path: &Path, line: &str, mode: u32) -> Result<(), WriteError> {
    append_line(path, line, mode, |_, _| Ok(true))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_private_file_and_its_directories_are_for_the_user_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".config/telex/id_ed25519");
    create_private(&path, b"secret").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"secret");
    assert_eq!(mode(&path), 0o600);
    for directory in [".config", ".config/telex"] {
        assert_eq!(mode(&home.path().join(directory)), 0o700);
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_is_there_is_never_replaced_by_a_private_file() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "old").unwrap();
    fs::create_dir(home.path().join("directory")).unwrap();
    symlink("nowhere", home.path().join("link")).unwrap();
    for name in ["file", "directory", "link"] {
        let path = home.path().join(name);
        let error = create_private(&path, b"new").unwrap_err();
        assert!(matches!(&error, WriteError::AlreadyExists { path: said } if *said == path), "{error}");
    }
    assert_eq!(fs::read(home.path().join("file")).unwrap(), b"old");
    assert_eq!(names(&home), set(&["file", "directory", "link"]));
}

#[test]
fn of_many_that_make_the_same_private_file_one_does() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    let made = thread::scope(|scope| {
        let makers: Vec<_> = (0..8_u8)
            .map(|n| {
                scope.spawn({
                    let path = &path;
                    move || create_private(path, &[n])
                })
            })
            .collect();
        let results = makers.into_iter().map(|maker| maker.join().unwrap());
        results.enumerate().filter(|(_, made)| made.is_ok()).map(|(n, _)| n as u8).collect::<Vec<_>>()
    });
    assert_eq!(fs::read(&path).unwrap(), made);
    assert_eq!(names(&home), set(&["file"]));
}

#[test]
fn where_renaming_cannot_be_told_to_spare_a_file_linking_does() {
    let home = tempfile::tempdir().unwrap();
    let directory = Directory::open(home.path()).unwrap();
    let make = |contents| directory.write_temporary(contents, Manner::new(PRIVATE)).unwrap();
    make(b"first").link("file".as_ref()).unwrap();
    let second = make(b"second").link("file".as_ref());
    assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(home.path().join("file")).unwrap(), b"first");
    assert_eq!(names(&home), set(&["file"]));
}

#[test]
fn a_path_that_cannot_be_written_is_named_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    let path = home.path().join("file/below");
    for error in [create_private(&path, b"").unwrap_err(), append(&path, "", 0o600).unwrap_err()] {
        assert_eq!(error.to_string(), format!("cannot write {}: not a directory", path.display()));
    }
    assert!(matches!(append(home.path(), "", 0o600), Err(WriteError::File(_))));
}

#[test]
fn a_line_is_added_after_whatever_is_there() {
    for (old, new) in [
        (None, "line\n"),
        (Some(""), "line\n"),
        (Some("a\n"), "a\nline\n"),
        (Some("a"), "a\nline\n"),
        (Some("a\n\n"), "a\n\nline\n"),
        (Some("a\r\n"), "a\r\nline\n"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        if let Some(old) = old {
            fs::write(&path, old).unwrap();
        }
        append(&path, "line", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), new, "{old:?}");
        assert_eq!(names(&home), set(&["file"]));
    }
}

#[test]
fn a_line_is_added_only_if_the_check_agrees() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    let add = |line, answer: fn() -> Result<bool, WriteError>| {
        let mut seen = None;
        let added = append_line(&path, line, 0o600, |old, new| {
            seen = Some((old.to_vec(), new.to_vec()));
            answer()
        });
        let (old, new) = seen.unwrap();
        (String::from_utf8(old).unwrap(), String::from_utf8(new).unwrap(), added)
    };
    assert!(matches!(add("a", || Ok(false)), (old, new, Ok(())) if old.is_empty() && new == "a\n"));
    assert!(!path.exists());
    assert!(matches!(add("a", || Ok(true)), (old, new, Ok(())) if old.is_empty() && new == "a\n"));
    let before = fs::metadata(&path).unwrap().ino();
    assert!(matches!(add("b", || Ok(false)), (old, new, Ok(())) if old == "a\n" && new == "a\nb\n"));
    let refused = add("b", || Err(WriteError::NotOneLine));
    assert!(matches!(refused.2, Err(WriteError::NotOneLine)));
    assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino()), (b"a\n".to_vec(), before));
    assert_eq!(names(&home), set(&["file"]));
}

#[test]
fn of_many_that_add_a_line_unless_there_is_one_one_does() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    thread::scope(|scope| {
        for writer in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let is_first = |old: &[u8], _: &[u8]| Ok::<_, WriteError>(old.is_empty());
                append_line(path, &writer.to_string(), 0o600, is_first).unwrap();
            });
        }
    });
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn a_line_with_a_line_break_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    for line in ["a\nb", "a\r", "\0"] {
        assert!(matches!(append(&path, line, 0o600), Err(WriteError::NotOneLine)));
    }
    assert!(!path.exists());
}

#[test]
fn a_new_file_gets_the_mode_and_an_old_one_keeps_its_own() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("made/file");
    // More than any usual umask leaves.
    append(&path, "a", 0o666).unwrap();
    assert_eq!(mode(&path), 0o666);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    append(&path, "b", 0o600).unwrap();
    assert_eq!(mode(&path), 0o640);
    rewrite(&path, |_| b"c".to_vec()).unwrap();
    assert_eq!(mode(&path), 0o640);
    let new = home.path().join("new");
    rewrite(&new, |_| b"c".to_vec()).unwrap();
    assert_eq!(mode(&new), 0o600);
}

/// Root that adds to a user's file must not take it away from them.
#[test]
fn an_old_file_keeps_its_owner() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    fs::write(&path, "").unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(1000), Some(1000)).unwrap();
    }
    let before = fs::metadata(&path).unwrap();
    append(&path, "a", 0o600).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!((before.uid(), before.gid()), (after.uid(), after.gid()));
    assert_ne!(before.ino(), after.ino());
}

#[test]
fn a_link_stays_a_link() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("real")).unwrap();
    fs::write(home.path().join("real/file"), "a\n").unwrap();
    let link = home.path().join("link");
    symlink("real/file", &link).unwrap();
    append(&link, "b", 0o600).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(home.path().join("real/file")).unwrap(), b"a\nb\n");
    assert_eq!(names(&home), set(&["real", "link"]));
}

#[test]
fn a_link_that_leads_nowhere_stays_as_well() {
    let home = tempfile::tempdir().unwrap();
    let link = home.path().join("link");
    symlink("nowhere", &link).unwrap();
    assert!(matches!(append(&link, "a", 0o600), Err(WriteError::System { .. })));
    assert!(link.is_symlink());
}

#[test]
fn what_is_not_changed_is_not_written() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    fs::write(&path, "a\n").unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    rewrite(&path, <[u8]>::to_vec).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    rewrite(&path, |old| old.to_ascii_uppercase()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"A\n");
}

#[test]
fn nothing_grows_beyond_what_is_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    fs::write(&path, "a").unwrap();
    let error = rewrite(&path, |_| vec![0; TRUSTED_FILE_BYTES + 1]).unwrap_err();
    assert!(matches!(error, WriteError::TooLarge { size, .. } if size == TRUSTED_FILE_BYTES + 1));
    assert_eq!(fs::read(&path).unwrap(), b"a");
    fs::write(&path, vec![0; TRUSTED_FILE_BYTES + 1]).unwrap();
    assert!(matches!(append(&path, "a", 0o600), Err(WriteError::File(_))));
    assert_eq!(names(&home), set(&["file"]));
}

#[test]
fn many_that_add_lines_at_the_same_time_lose_none() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    thread::scope(|scope| {
        for writer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for line in 0..25 {
                    append(path, &format!("{writer} {line}"), 0o600).unwrap();
                }
            });
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    for writer in 0..4 {
        let lines: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix(&format!("{writer} "))).collect();
        let expected: Vec<_> = (0..25).map(|line| line.to_string()).collect();
        assert_eq!(lines, expected);
    }
    assert_eq!(names(&home), set(&["file"]));
}

#[test]
fn a_lock_file_lies_only_where_others_could_lock_the_directory() {
    for (mode, expected) in [(0o700, false), (0o711, false), (0o755, true)] {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(mode)).unwrap();
        append(&home.path().join("file"), "a", 0o600).unwrap();
        assert_eq!(home.path().join(".telex-lock").exists(), expected, "{mode:o}");
    }
}
