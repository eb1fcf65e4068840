//! Any bytes as the payload of CLOSE; what was read is written as it came.

#![no_main]

use common::greeting::Close;
use common::limits;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(close) = Close::decode(payload) else { return };
    if payload.len() <= limits::CLOSE_PAYLOAD {
        assert_eq!(close.encode(), payload);
    }
    assert_eq!(Close::decode(&close.encode()).map(|close| close.code), Ok(close.code));
});
