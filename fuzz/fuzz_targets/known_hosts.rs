//! A host on the first line, and any bytes behind it as a file of known hosts. A line that is appended is never
//! forgotten, and says what it says to a file alone.

#![no_main]

use common::keys::PublicKey;
use common::keys::known_hosts::{HostName, KnownHosts, Verdict, hashed_line, line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(name), Some(file)) = (parts.next(), parts.next()) else { return };
    let Ok(host) = HostName::new(&String::from_utf8_lossy(name), 9000) else { return };
    let (key, other) = (PublicKey::from_bytes([1; 32]), PublicKey::from_bytes([2; 32]));
    let before = KnownHosts::parse(file).verdict(&host, &key);
    for line in [line(&host, &key, "comment"), hashed_line(&host, &key, [3; 20])] {
        let alone = KnownHosts::parse(line.as_bytes());
        assert!(alone.problems().is_empty());
        assert_eq!(alone.verdict(&host, &key), Verdict::Trusted);
        let hosts = KnownHosts::parse(&[file, b"\n", line.as_bytes()].concat());
        match hosts.verdict(&host, &key) {
            Verdict::Unknown => panic!("{line} is forgotten"),
            verdict @ Verdict::Revoked { .. } => assert_eq!(verdict, before),
            Verdict::Trusted | Verdict::Changed { .. } | Verdict::Unclear { .. } => {}
        }
        assert_ne!(hosts.verdict(&host, &other), Verdict::Unknown);
    }
});
