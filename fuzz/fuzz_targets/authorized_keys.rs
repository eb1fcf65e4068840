//! Any bytes as a file of authorized keys, and any text as options; what was read is written so that it is read again.

#![no_main]

use std::time::SystemTime;

use common::keys::authorized_keys::{AuthorizedKeys, Options, line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let keys = AuthorizedKeys::parse(bytes);
    for entry in &keys.entries {
        let line = line(&entry.options, &entry.key, &entry.comment);
        let again = AuthorizedKeys::parse(line.as_bytes());
        let [again] = again.entries.as_slice() else { panic!("{line:?} is {again:?}") };
        assert_eq!((again.key, &again.options), (entry.key, &entry.options));
        // Whoever is found is found on a line with the key, and only if that permits.
        if let Ok(found) = keys.find(&entry.key, None, SystemTime::UNIX_EPOCH) {
            assert_eq!(found.key, entry.key);
            assert_eq!(found.options.permits(None, SystemTime::UNIX_EPOCH), Ok(()));
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(options) = text.parse::<Options>() else { return };
    assert_eq!(options.to_string().parse(), Ok(options));
});
