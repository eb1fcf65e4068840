//! Any bytes as what has arrived from a peer, in both directions: frames, then packets.
//!
//! A frame is written back as exactly the bytes it was read from, and a packet reads back as itself.

#![no_main]

use bytes::{Bytes, BytesMut};
use common::frame::{self, Frame};
use common::message::{ClientMessage, Message, ServerMessage};
use common::packet::Packet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(frame)) = frame::decode(&mut buffer) {
        let start = bytes.len() - buffer.len() - frame.payload.len();
        assert_eq!(bytes[..start].last_chunk(), Some(&frame.header.encode()));
        assert_eq!(frame.header.payload_len, frame.payload.len());
        read_back::<ClientMessage>(frame.clone());
        read_back::<ServerMessage>(frame);
    }
});

fn read_back<M: Message + Clone + PartialEq + std::fmt::Debug>(frame: Frame<Bytes>) {
    let Ok(packet) = Packet::<M>::from_frame(frame) else { return };
    let (header, payload) = packet.clone().into_parts().expect("what was read is within its limit");
    // A greeting may carry extensions that are skipped and a longer name than is written.
    if matches!(packet, Packet::Hello(_) | Packet::Welcome(_)) {
        return;
    }
    assert_eq!(Packet::from_frame(Frame { header, payload }), Ok(packet));
}
