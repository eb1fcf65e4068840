use proptest::prelude::*;

use super::*;

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn files(said: &[u8]) -> Result<Vec<Entry>, ListingError> {
    let mut reader = Reader::new(said);
    let entries = reader.files()?;
    reader.end().map(|()| entries)
}

fn hashes(said: &[u8]) -> Result<HashMap<Vec<u8>, Hash>, ListingError> {
    let mut reader = Reader::new(said);
    let hashes = reader.hashes()?;
    reader.end().map(|()| hashes)
}

#[test]
fn groups_of_names_their_lines_and_where_links_lead() {
    let said = b".\0./a\nb\0./l\0\x0041ed 4096\n81a4 7\na1ff 3\nx\ny\0./p\0\x0011a4 0\n\0";
    let entry = |path: &str, kind, mode| Entry { path: path.into(), kind, mode };
    let expected = [
        entry("", Kind::Directory, 0o755),
        entry("a\nb", Kind::File { bytes: 7 }, 0o644),
        entry("l", Kind::Link { to: b"x\ny".to_vec() }, 0o777),
        entry("p", Kind::Other, 0o644),
    ];
    assert_eq!(files(said).unwrap(), expected);
    assert_eq!(files(b"\0").unwrap(), []);
    // Set-user-ID is no permission.
    assert_eq!(files(b".\0\x0089ed 1\n\0").unwrap()[0].mode, 0o755);
}

#[test]
fn lists_that_are_none() {
    let cut = b".\0./l\0\x0041ed 4096\na1ff 3\nx\0\0";
    for end in 0..cut.len() {
        assert_eq!(files(&cut[..end]), Err(ListingError::Garbled), "{end}");
    }
    for line in ["", "81a4", "81a4 -1", "81a4 1 2", "zz 1", "81a4 99999999999999999999"] {
        let said = [b".\0\0", line.as_bytes(), b"\n\0"].concat();
        assert_eq!(files(&said), Err(ListingError::Garbled), "{line}");
    }
    assert_eq!(files(b"\0rest"), Err(ListingError::Garbled));
    for name in ["a", "/etc/passwd", "..", "./", "../a", "-"] {
        let said = [name.as_bytes(), b"\0\x0081a4 1\n\0"].concat();
        assert_eq!(files(&said), Err(ListingError::Path(name.into())), "{name}");
    }
}

#[test]
fn the_lines_of_three_programs() {
    let abc = Hash::of(b"abc");
    for (name, line) in [
        ("./a b", "  ./a b"),
        ("./a b", " *./a b"),
        ("./a\nb", "  ./a\nb"),
        (".", "  -"),
        (".", " *stdin"),
        (".", "  /some/where"),
    ] {
        let said = format!("{name}\0\0{ABC}{line}\n\0");
        let path = name.strip_prefix("./").unwrap_or_default();
        assert_eq!(hashes(said.as_bytes()).unwrap(), HashMap::from([(path.into(), abc)]), "{line}");
    }
    let escaped = format!("./a\nb\0./c\0\0\\{ABC}  ./a\\nb\n{ABC}  ./c\n\0");
    let expected = HashMap::from([(b"a\nb".to_vec(), abc), (b"c".to_vec(), abc)]);
    assert_eq!(hashes(escaped.as_bytes()).unwrap(), expected);
    assert_eq!(hashes(b"./a\0\0no hash  ./a\n\0"), Err(ListingError::Garbled));
    assert_eq!(hashes(format!("./a\0./b\0\0{ABC}  ./a\n\0").as_bytes()), Err(ListingError::Garbled));
}

proptest! {
    #[test]
    fn anything_is_read_or_refused(said in proptest::collection::vec(prop_oneof![
        Just(b'\0'), Just(b'\n'), Just(b'.'), Just(b'/'), Just(b' '), Just(b'8'), any::<u8>()
    ], 0..200)) {
        files(&said).ok();
        hashes(&said).ok();
    }
}
