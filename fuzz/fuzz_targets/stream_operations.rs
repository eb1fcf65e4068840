//! Any sequence of operations on the two ends of a stream, honest and hostile; what must hold after each of them is
//! in the module that the tests use too. In the end both sides do their duty, and everything has to arrive.

#![no_main]

#[path = "../../common/tests/support/stream_pair.rs"]
mod stream_pair;

use libfuzzer_sys::fuzz_target;
use stream_pair::StreamPair;

fuzz_target!(|bytes: &[u8]| {
    let Some((goal, operations)) = bytes.split_first_chunk() else { return };
    // At most 16 MiB: eight windows.
    let mut stream = StreamPair::new(u64::from(u32::from_le_bytes(*goal) >> 8));
    for operation in operations.chunks_exact(4) {
        let [selector, size @ ..] = operation else { continue };
        let size = size.iter().fold(0, |size, byte| size << 8 | u32::from(*byte));
        stream.apply(*selector, size);
    }
    stream.settle();
});
