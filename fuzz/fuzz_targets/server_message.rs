//! Any bytes as the payload of RESPONSE; what was read is written as exactly the bytes it came from.

#![no_main]

use common::message::{self, ServerMessage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(message) = message::decode::<ServerMessage>(payload) else { return };
    assert_eq!(message::encode(&message).as_deref(), Ok(payload), "{message:?}");
});
