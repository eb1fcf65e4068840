use super::*;

fn file(path: &str, bytes: u64) -> Entry {
    Entry { path: path.into(), kind: Kind::File { bytes }, mode: 0o644 }
}

fn directory(path: &str) -> Entry {
    Entry { path: path.into(), kind: Kind::Directory, mode: 0o755 }
}

fn link(path: &str, to: &str) -> Entry {
    Entry { path: path.into(), kind: Kind::Link { to: to.into() }, mode: 0o777 }
}

fn other(path: &str) -> Entry {
    Entry { path: path.into(), kind: Kind::Other, mode: 0o600 }
}

fn tree(entries: impl IntoIterator<Item = Entry>) -> Tree {
    Tree::new(entries.into_iter().collect()).unwrap().unwrap()
}

fn refused(entries: impl IntoIterator<Item = Entry>) -> ListingError {
    Tree::new(entries.into_iter().collect()).unwrap_err()
}

#[test]
fn a_tree_has_its_root_first_and_directories_before_what_is_in_them() {
    let made = tree([file("a/b", 1), file("a-b", 2), directory("a"), directory(""), link("a/c", "/etc")]);
    let paths: Vec<_> = made.entries().iter().map(|entry| String::from_utf8_lossy(&entry.path)).collect();
    assert_eq!(paths, ["", "a", "a/b", "a/c", "a-b"]);
    assert_eq!((made.bytes(), made.is_directory()), (3, true));
    let inside_out: Vec<_> = made.directories_inside_out().map(|entry| entry.path.as_slice()).collect();
    assert_eq!(inside_out, [&b"a"[..], b""]);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let long = "x".repeat(256);
    for path in ["..", "../a", "a/..", "a/../b", ".", "./a", "/etc", "a//b", "a/", "a\0b", &long] {
        let entries = [directory(""), directory("a"), file(path, 1)];
        assert_eq!(refused(entries), ListingError::Path(path.into()), "{path:?}");
    }
    let deep = vec!["d"; 3000].join("/");
    assert!(matches!(refused([directory(""), file(&deep, 1)]), ListingError::Path(_)));
}

#[test]
fn what_is_below_a_link_a_file_or_nothing_is_refused() {
    let below = |what: Entry| refused([directory(""), what, file("a/passwd", 1)]);
    assert_eq!(below(link("a", "/etc")), ListingError::Orphan("a/passwd".into()));
    assert_eq!(below(file("a", 1)), ListingError::Orphan("a/passwd".into()));
    assert_eq!(below(other("a")), ListingError::Orphan("a/passwd".into()));
    assert_eq!(refused([directory(""), file("a/b", 1)]), ListingError::Orphan("a/b".into()));
    assert_eq!(refused([link("", "/etc"), file("a", 1)]), ListingError::Orphan("a".into()));
    assert_eq!(refused([file("a", 1)]), ListingError::Orphan("a".into()));
}

#[test]
fn the_same_name_twice_is_refused() {
    // Of two of a name the one would be followed by what the other says.
    let twice = [directory(""), directory("a"), link("a", "/etc"), file("a/passwd", 1)];
    assert_eq!(refused(twice), ListingError::Twice("a".into()));
}

#[test]
fn sizes_and_targets_have_bounds() {
    assert_eq!(refused([file("", u64::MAX)]), ListingError::Size(Vec::new()));
    let target = |to: &str| refused([directory(""), link("a", to)]);
    assert_eq!(target(""), ListingError::Target("a".into()));
    assert_eq!(target(&"x".repeat(5000)), ListingError::Target("a".into()));
    let max = i64::MAX.unsigned_abs();
    assert_eq!(tree([directory(""), file("a", max), file("b", max), file("c", max)]).bytes(), u64::MAX);
    let many = (0..=ENTRIES).map(|number| file(&number.to_string(), 0));
    assert_eq!(refused(many), ListingError::TooLong);
}

#[test]
fn devices_are_left_out_and_said() {
    let made = tree([directory(""), other("pipe"), file("a", 1)]);
    assert_eq!(made.left_out(), [b"pipe".to_vec()]);
    assert_eq!(made.entries().len(), 2);
    assert_eq!(Tree::new(vec![other("")]), Ok(None));
    assert_eq!(Tree::new(Vec::new()), Ok(None));
}

#[test]
fn a_part_has_a_name_of_its_own_that_fits() {
    assert_eq!(part_name(b"a b"), b".a b.telex-part");
    let long = part_name(&[b'x'; 250]);
    assert!(long.len() <= NAME_BYTES && long != part_name(&[b'x'; 251]), "{long:?}");
}

#[test]
fn what_gives_way() {
    use Standing::{Directory, File, Nothing, Other};
    for (standing, directory, without, with) in [
        (Nothing, false, true, true),
        (Nothing, true, true, true),
        (File, false, false, true),
        (File, true, false, false),
        (Directory, true, false, true),
        (Directory, false, false, false),
        (Other, false, false, false),
        (Other, true, false, false),
    ] {
        assert_eq!(standing.gives_way(directory, false), without, "{standing:?}");
        assert_eq!(standing.gives_way(directory, true), with, "{standing:?}");
    }
}

fn hashes(of: &[(&str, &str)]) -> HashMap<Vec<u8>, Hash> {
    of.iter().map(|(path, content)| (path.as_bytes().to_vec(), Hash::of(content.as_bytes()))).collect()
}

#[test]
fn a_beginning_that_is_right_is_gone_on_with_and_one_that_is_not_is_removed() {
    let wanted = tree([directory(""), file("half", 10), file("whole", 3), file("wrong", 5), file("new", 1)]);
    let there = tree([directory(""), file("half", 4), file("whole", 3), file("wrong", 5)]);
    assert_eq!(beginnings(&wanted, &there), [(&b"half"[..], 4), (b"whole", 3), (b"wrong", 5)]);
    let source = hashes(&[("half", "1234"), ("whole", "abc"), ("wrong", "right")]);
    let parts = hashes(&[("half", "1234"), ("whole", "abc"), ("wrong", "wrong")]);
    let work = Work::new(&wanted, &there, &source, &parts);
    assert_eq!(work.remove, [b"wrong"]);
    let missing = |path: &'static str, from, bytes| Missing { path: path.as_bytes(), from, bytes };
    assert_eq!(work.files, [missing("half", 4, 10), missing("new", 0, 1), missing("wrong", 0, 5)]);
    assert_eq!(work.done(&wanted), 7);
    assert!(!work.is_empty());
}

#[test]
fn more_than_is_wanted_is_removed() {
    let wanted = tree([directory(""), file("a", 3), link("l", "a"), directory("d")]);
    let there = tree([
        directory(""),
        file("a", 5),
        link("l", "/etc"),
        link("d", "/etc"),
        file("x", 1),
        other("pipe"),
    ]);
    let work = Work::new(&wanted, &there, &HashMap::new(), &hashes(&[("a", "hello"), ("x", "x")]));
    assert_eq!(work.remove, [&b"a"[..], b"d", b"l", b"pipe", b"x"]);
    assert_eq!(
        (work.directories.as_slice(), work.links.as_slice()),
        (&[&b"d"[..]][..], &[(&b"l"[..], &b"a"[..])][..])
    );
    assert!(work.makes_places());
}

#[test]
fn nothing_is_to_be_done_only_if_every_hash_is_known_and_equal() {
    let wanted = tree([directory(""), file("a", 3), link("l", "a")]);
    let (right, wrong) = (hashes(&[("a", "abc")]), hashes(&[("a", "abd")]));
    assert!(Work::new(&wanted, &wanted, &right, &right).is_empty());
    assert!(!Work::new(&wanted, &wanted, &right, &wrong).is_empty());
    assert!(!Work::new(&wanted, &wanted, &right, &HashMap::new()).is_empty());
    assert!(!Work::new(&wanted, &wanted, &HashMap::new(), &HashMap::new()).is_empty());
}

#[test]
fn pieces_are_never_empty_and_seldom_too_large() {
    let cut = |sizes: &[u64]| -> Vec<Vec<u64>> {
        pieces(sizes, 10, |size| *size).into_iter().map(<[u64]>::to_vec).collect()
    };
    assert_eq!(cut(&[]), Vec::<Vec<u64>>::new());
    assert_eq!(cut(&[4, 6, 1, 20, 3]), [vec![4, 6], vec![1], vec![20], vec![3]]);
    assert_eq!(cut(&[0, 0, 11, 0]), [vec![0, 0], vec![11], vec![0]]);
}
