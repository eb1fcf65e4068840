use std::os::unix::fs::{FileTypeExt, symlink};

use super::*;

fn place() -> (tempfile::TempDir, Place) {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::at(&directory.path().join("tree")).unwrap();
    (directory, place)
}

#[test]
fn a_link_is_never_followed_on_the_way_down() {
    let (directory, place) = place();
    let outside = directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    place.prepare(true).unwrap();
    // As an earlier try with another list may have left it.
    symlink(&outside, directory.path().join("tree/a")).unwrap();
    fs::write(directory.path().join("victim"), "as it was").unwrap();
    symlink(directory.path().join("victim"), directory.path().join("tree/f")).unwrap();
    assert!(place.open_file(b"a/passwd", 0).is_err());
    assert!(place.create_directory(b"a/inner").is_err());
    assert!(place.link(b"a/link", b"x").is_err());
    assert!(place.open_file(b"f", 0).is_err());
    assert!(place.set_mode(b"f", 0o777, false).is_err() && place.set_mode(b"a", 0o777, true).is_err());
    assert!(!place.has_directory(b"a"));
    place.remove(b"a").unwrap();
    assert!(outside.exists() && fs::read_dir(&outside).unwrap().next().is_none());
    assert_eq!(fs::read_to_string(directory.path().join("victim")).unwrap(), "as it was");
    place.create_directory(b"a").unwrap();
    place.open_file(b"a/passwd", 0).unwrap();
}

#[test]
fn what_somebody_else_may_have_put_where_a_copy_grows_is_replaced() {
    let (directory, place) = place();
    let victim = directory.path().join("victim");
    fs::write(&victim, "as it was").unwrap();
    let tree = directory.path().join("tree");
    for plant in [
        |victim: &Path, tree: &Path| symlink(victim, tree),
        |victim: &Path, tree: &Path| fs::hard_link(victim, tree),
    ] {
        plant(&victim, &tree).unwrap();
        place.prepare(false).unwrap();
        io::Write::write_all(&mut place.open_file(b"", 0).unwrap(), b"new").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
        assert_eq!(fs::symlink_metadata(&tree).unwrap().mode() & 0o777, 0o600);
        fs::remove_file(&tree).unwrap();
    }
}

#[test]
fn a_file_is_gone_on_with_where_it_ends_and_nowhere_else() {
    let (_directory, place) = place();
    place.prepare(false).unwrap();
    io::Write::write_all(&mut place.open_file(b"", 0).unwrap(), b"abc").unwrap();
    assert!(place.open_file(b"", 0).is_err() && place.open_file(b"", 2).is_err());
    io::Write::write_all(&mut place.open_file(b"", 3).unwrap(), b"def").unwrap();
    place.prepare(false).unwrap();
    assert_eq!(fs::read_to_string(&place.path).unwrap(), "abcdef");
}

#[test]
fn nobody_who_has_the_name_meanwhile_loses_it() {
    let (directory, part) = place();
    let path = directory.path().join("target");
    let target = Place::at(&path).unwrap();
    for is_directory in [false, true] {
        part.prepare(is_directory).unwrap();
        fs::write(&path, "first").unwrap();
        assert!(!part.become_target(&target, false).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(!part.become_target(&target, false).unwrap());
        fs::remove_dir(&path).unwrap();
        assert!(part.become_target(&target, false).unwrap());
        assert_eq!(path.is_dir(), is_directory);
        target.remove(b"").unwrap();
    }
}

#[test]
fn modes_of_an_earlier_try_are_no_obstacle() {
    let (_directory, place) = place();
    place.prepare(true).unwrap();
    place.create_directory(b"a").unwrap();
    place.open_file(b"a/f", 0).unwrap();
    place.set_mode(b"a/f", 0o444, false).unwrap();
    place.set_mode(b"a", 0o555, true).unwrap();
    place.prepare(true).unwrap();
    let mode = |path: &[u8]| fs::metadata(place.path_of(path)).unwrap().mode() & 0o777;
    assert_eq!((mode(b"a"), mode(b"a/f")), (0o755, 0o644));
}

#[test]
fn what_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("d")).unwrap();
    fs::write(root.join("d/f"), "abc").unwrap();
    symlink("nowhere", root.join("d/l")).unwrap();
    symlink("d", root.join("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("d/p"), rustix::fs::FileType::Fifo, OURS, 0).unwrap();
    assert!(fs::symlink_metadata(root.join("d/p")).unwrap().file_type().is_fifo());
    let tree = walk(&root.join("link"), true).unwrap().unwrap();
    let paths: Vec<_> = tree.entries().iter().map(|entry| entry.path.as_slice()).collect();
    assert_eq!(paths, [&b""[..], b"f", b"l"]);
    assert_eq!(tree.left_out(), [b"p".to_vec()]);
    assert_eq!(walk(&root.join("none"), true).unwrap(), None);
    assert_eq!(standing(&root.join("link")).unwrap(), Standing::Directory);
    assert_eq!(standing(&root.join("d/l")).unwrap(), Standing::File);
    assert_eq!(standing(&root.join("d/p")).unwrap(), Standing::Other);
    assert_eq!(standing(&root.join("none")).unwrap(), Standing::Nothing);
}
