//! Any bytes as a record in a file, and as the body of one whose envelope is right: what was read is written as exactly the
//! bytes it came from, and no other kind takes it.

#![no_main]

use std::fmt::Debug;

use common::job::Digest;
use common::record::{self, Record};
use libfuzzer_sys::fuzz_target;
use server::store::record::{Begun, End, Intent, Memory, Removed, Started};

fn check<R: Record + Debug>(bytes: &[u8]) -> bool {
    let Ok(value) = record::open::<R>(bytes) else { return false };
    assert_eq!(record::seal(&value).as_deref(), Ok(bytes), "{value:?}");
    true
}

fn check_all(bytes: &[u8]) {
    let taken = [
        check::<Intent>(bytes),
        check::<Begun>(bytes),
        check::<Started>(bytes),
        check::<End>(bytes),
        check::<Removed>(bytes),
        check::<Memory>(bytes),
    ];
    assert!(taken.iter().filter(|taken| **taken).count() <= 1);
}

fuzz_target!(|bytes: &[u8]| {
    check_all(bytes);
    let Some((kind, body)) = bytes.split_first() else { return };
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let content = [b"TLXR", &[*kind, 1][..], &length.to_le_bytes(), body].concat();
    let sum = Digest::of(&content).to_bytes();
    check_all(&[&content[..], &sum[..8]].concat());
});
