//! Any bytes as the payload of HELLO, as they are and behind the magic that a fuzzer does not guess; what was read is
//! written so that it is read again.

#![no_main]

use common::greeting::{Hello, MAGIC};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read_back(bytes);
    read_back(&[&MAGIC, bytes].concat());
});

fn read_back(payload: &[u8]) {
    let Ok(greeting) = Hello::decode(payload) else { return };
    let again = Hello::decode(&greeting.encode()).expect("what is written can be read");
    // A name of software may come longer than it is written.
    assert!(greeting.software.starts_with(&again.software));
    assert!(again.software.len() == greeting.software.len() || again.software.len() > 200);
    assert_eq!(Hello { software: again.software.clone(), ..greeting }, again);
}
