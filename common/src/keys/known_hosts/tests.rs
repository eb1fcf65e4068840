use proptest::prelude::*;

use super::*;
use crate::keys::{KeyError, LINE_BYTES};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7";

fn key() -> PublicKey {
    KEY.parse().unwrap()
}

fn other_key() -> PublicKey {
    PublicKey::from_bytes([7; 32])
}

fn host(name: &str) -> HostName {
    HostName::new(name, 9000).unwrap()
}

fn verdict(file: &str, name: &str) -> Verdict {
    KnownHosts::parse(file.as_bytes()).verdict(&host(name), &key())
}

fn changed<const N: usize>(line: usize, known: [KnownKey; N]) -> Verdict {
    Verdict::Changed { line, known: known.into() }
}

#[test]
fn a_host_is_known_by_its_key_or_by_another_or_not_at_all() {
    let other = || KnownKey::Ed25519(other_key());
    let rsa = || KnownKey::Other("ssh-rsa".into());
    let wrong = other_key();
    let table = [
        ("".to_owned(), Verdict::Unknown),
        (format!("# db1 {KEY}"), Verdict::Unknown),
        (format!("db2 {KEY}"), Verdict::Unknown),
        (format!("db1 {KEY}"), Verdict::Trusted),
        (format!(" \tdb1\t {}\t# me\r\n", KEY.replace(' ', " \t")), Verdict::Trusted),
        (format!("*,!db2 {KEY}"), Verdict::Trusted),
        (format!("*,!db1 {KEY}"), Verdict::Unknown),
        (format!("db1 {wrong}"), changed(1, [other()])),
        (format!("db1 {RSA}"), changed(1, [rsa()])),
        (format!("\ndb2 {KEY}\ndb1 {RSA}\ndb? {wrong}"), changed(3, [rsa(), other()])),
        (format!("db1 {RSA}\ndb1 {wrong}\ndb1 {KEY}"), Verdict::Trusted),
    ];
    for (file, expected) in table {
        assert_eq!(verdict(&file, "db1"), expected, "{file}");
        assert_eq!(KnownHosts::parse(file.as_bytes()).problems(), [], "{file}");
    }
}

#[test]
fn revoked_wins_over_everything() {
    let wrong = other_key();
    let revoked = |line| Verdict::Revoked { line };
    let table = [
        (format!("@revoked db1 {KEY}"), revoked(1)),
        (format!("db1 {KEY}\n@revoked * {KEY}"), revoked(2)),
        (format!("@revoked\t db2,db1 \t{KEY}\ndb1 {KEY}"), revoked(1)),
        (format!("@revoked db2 {KEY}\ndb1 {KEY}"), Verdict::Trusted),
        (format!("@revoked *,!db1 {KEY}\ndb1 {KEY}"), Verdict::Trusted),
        (format!("@revoked db1 {wrong}"), Verdict::Unknown),
        (format!("@revoked db1 {RSA}\n@revoked db1 {wrong}\ndb1 {KEY}"), Verdict::Trusted),
    ];
    for (file, expected) in table {
        assert_eq!(verdict(&file, "db1"), expected, "{file}");
        assert_eq!(KnownHosts::parse(file.as_bytes()).problems(), [], "{file}");
    }
}

#[test]
fn what_cannot_be_understood_never_makes_a_known_host_a_new_one() {
    let unusable = |line| changed(line, [KnownKey::Unusable]);
    let revoked = |line| Verdict::Revoked { line };
    let malformed = || LineError::Key(KeyError::Malformed);
    let marker = |text: &str| LineError::Marker { marker: text.into() };
    let long = "x".repeat(LINE_BYTES);
    // A file, what is wrong with its first line, and what that makes of the host.
    let table = [
        ("db1".to_owned(), LineError::NoKey, unusable(1)),
        ("db1 ssh-ed25519".into(), LineError::NoKey, unusable(1)),
        ("db1 ssh-ed25519 AAAA".into(), malformed(), unusable(1)),
        ("db1 ssh-ed25519 #".into(), malformed(), unusable(1)),
        ("db1 1024 35 1234567".into(), malformed(), unusable(1)),
        (format!("db1 {}", KEY.replacen("ssh-ed25519", "ssh-ed2519", 1)), malformed(), unusable(1)),
        (format!("db2 AAAA\ndb1 {KEY}"), LineError::NoKey, Verdict::Trusted),
        ("db2 ssh-ed25519 AAAA".into(), malformed(), Verdict::Unknown),
        (format!("db1 AAAA x\ndb1 {KEY}"), malformed(), Verdict::Trusted),
        (format!("db1 {KEY} {long}"), LineError::TooLong, unusable(1)),
        (format!("db1,{long} {KEY}"), LineError::TooLong, unusable(1)),
        (format!("{long},db1 {KEY}"), LineError::TooLong, unusable(1)),
        (format!("@revoked {long},db1 {KEY}\ndb1 {KEY}"), LineError::TooLong, revoked(1)),
        (format!("@revoked db1 {} {long}\ndb1 {KEY}", other_key()), LineError::TooLong, Verdict::Trusted),
        (format!("@cert-authority *,!db2 {KEY}"), marker("@cert-authority"), unusable(1)),
        (format!("@cert-authority db2 {KEY}"), marker("@cert-authority"), Verdict::Unknown),
        (format!("@cert-authority * {RSA}\ndb1 {KEY}"), marker("@cert-authority"), Verdict::Trusted),
        (format!("@Revoked db1 {KEY}\ndb1 {KEY}"), marker("@Revoked"), revoked(1)),
        (format!("@ db1 {KEY}\ndb1 {KEY}"), marker("@"), revoked(1)),
        (format!("@revoked db1 ssh-ed25519\ndb1 {KEY}"), LineError::NoKey, revoked(1)),
        (format!("@revoked db2 ssh-ed25519\ndb1 {KEY}"), LineError::NoKey, Verdict::Trusted),
        (format!("@revoked |1|AAAA|AAAA {KEY}\ndb1 {KEY}"), LineError::Hosts, revoked(1)),
        (format!("@revoked |1|AAAA|AAAA {}\ndb1 {KEY}", other_key()), LineError::Hosts, Verdict::Trusted),
        (format!("@revoked\ndb1 {KEY}"), LineError::Hosts, revoked(1)),
        (format!("@revoked db1 {KEY} {long}\ndb1 {KEY}"), LineError::TooLong, revoked(1)),
        (format!("|1|AAAA|AAAA {KEY}"), LineError::Hosts, Verdict::Unclear { line: 1 }),
        (format!("|1|AAAA|AAAA {KEY}\ndb1 {KEY}"), LineError::Hosts, Verdict::Trusted),
        (
            format!("|1|AAAA|AAAA {KEY}\ndb1 {RSA}"),
            LineError::Hosts,
            changed(2, [KnownKey::Other("ssh-rsa".into())]),
        ),
        (format!("|1|AAAA|AAAA {KEY}\n@revoked db1 {KEY}"), LineError::Hosts, revoked(2)),
    ];
    for (file, error, expected) in table {
        assert_eq!(verdict(&file, "db1"), expected, "{file}");
        let problems = [Problem { line: 1, error }];
        assert_eq!(KnownHosts::parse(file.as_bytes()).problems(), problems, "{file}");
    }
}

#[test]
fn a_comment_that_is_not_text_spoils_its_line() {
    let revoked = other_key().to_string();
    let file = [b"db1 ", KEY.as_bytes(), b" caf\xe9\n@revoked db1 ", revoked.as_bytes(), b" \xe9"].concat();
    let hosts = KnownHosts::parse(&file);
    assert_eq!(hosts.problems(), [1, 2].map(|line| Problem { line, error: LineError::NotUtf8 }));
    assert_eq!(hosts.verdict(&host("db1"), &key()), changed(1, [KnownKey::Unusable]));
    assert_eq!(hosts.verdict(&host("db1"), &other_key()), Verdict::Revoked { line: 2 });
    assert_eq!(hosts.verdict(&host("db2"), &key()), Verdict::Unknown);
}

#[test]
fn in_a_file_that_is_not_read_to_its_end_nothing_is_trusted_or_unknown() {
    let all_lines = |first: &str| format!("{first}{}", "\n".repeat(LINES));
    let file = all_lines(&format!("db1 {KEY}"));
    assert_eq!(verdict(&file, "db1"), Verdict::Trusted);
    let file = file + "#";
    assert_eq!(verdict(&file, "db1"), Verdict::Unclear { line: LINES + 1 });
    assert_eq!(verdict(&file, "db2"), Verdict::Unclear { line: LINES + 1 });
    assert_eq!(
        KnownHosts::parse(file.as_bytes()).problems(),
        [Problem { line: LINES + 1, error: LineError::TooMany { limit: LINES } }]
    );
    assert_eq!(
        verdict(&(all_lines(&format!("@revoked * {KEY}")) + "#"), "db1"),
        Verdict::Revoked { line: 1 }
    );
}

#[test]
fn what_a_host_is_known_by_can_be_shown() {
    let fingerprint = KnownKey::Ed25519(key()).to_string();
    assert_eq!(fingerprint, "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ");
    assert_eq!(KnownKey::Other("ssh-rsa".into()).to_string(), "a key of type ssh-rsa");
    assert_eq!(KnownKey::Unusable.to_string(), "a key that cannot be used");
}

#[test]
fn a_line_is_written_with_its_host_and_comment() {
    assert_eq!(line(&host("DB1"), &key(), "by ann\n@revoked"), format!("db1 {KEY} by ann @revoked"));
    let with_port = HostName::new("::1", 22).unwrap();
    assert_eq!(line(&with_port, &key(), ""), format!("[::1]:22 {KEY}"));
    assert!(hashed_line(&with_port, &key(), [0; SALT_BYTES]).starts_with("|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_line_makes_its_host_known_and_no_other(
        name in "[a-zA-Z0-9._-]{1,40}|[0-9a-f]{1,4}::[0-9a-f]{1,4}",
        port in any::<u16>(),
        comment in ".{0,40}",
        salt in any::<[u8; SALT_BYTES]>(),
    ) {
        let host = HostName::new(&name, port).unwrap();
        let neighbour = HostName::new(&name, port.wrapping_add(1)).unwrap();
        for line in [line(&host, &key(), &comment), hashed_line(&host, &key(), salt)] {
            let hosts = KnownHosts::parse(line.as_bytes());
            prop_assert_eq!(hosts.problems(), []);
            prop_assert_eq!(hosts.verdict(&host, &key()), Verdict::Trusted);
            prop_assert_eq!(hosts.verdict(&host, &other_key()), changed(1, [KnownKey::Ed25519(key())]));
            prop_assert_eq!(hosts.verdict(&neighbour, &key()), Verdict::Unknown);
        }
    }

    #[test]
    fn whatever_stands_before_it_a_line_is_not_forgotten(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let line = line(&host("db1"), &key(), "");
        let hosts = KnownHosts::parse(&[bytes.as_slice(), b"\n", line.as_bytes()].concat());
        prop_assert_ne!(hosts.verdict(&host("db1"), &other_key()), Verdict::Unknown);
    }
}
