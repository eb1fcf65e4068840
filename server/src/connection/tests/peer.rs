//! The other end of a Unix socket: says bytes, hears packets, and waits for nothing longer than a deadline.

use std::time::Duration;

use bytes::BytesMut;
use common::connection::packet_bytes;
use common::frame::{self, JobNumber};
use common::greeting::{Close, CloseCode, Hello};
use common::message::{ClientMessage, ServerMessage};
use common::packet::{Echo, Packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Far more than anything here takes; it ends a test that would hang.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// A peer under a test's control.
pub(super) struct Peer {
    stream: UnixStream,
    arrived: BytesMut,
}

impl Peer {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, arrived: BytesMut::new() }
    }

    /// A peer that has been welcomed.
    pub(super) async fn greeted(stream: UnixStream) -> Self {
        let mut peer = Self::new(stream);
        peer.say(&hello()).await;
        let welcome = peer.hear().await;
        assert!(matches!(welcome, Some(Packet::Welcome(_))), "{welcome:?}");
        peer
    }

    /// Says these bytes; a server that has closed does not take them.
    pub(super) async fn say(&mut self, bytes: &[u8]) {
        timeout(DEADLINE, self.stream.write_all(bytes)).await.unwrap().ok();
    }

    /// The next packet; `None` at the end.
    pub(super) async fn hear(&mut self) -> Option<Packet<ServerMessage>> {
        loop {
            if let Some(frame) = frame::decode(&mut self.arrived).unwrap() {
                return Some(Packet::from_frame(frame).unwrap());
            }
            let read = timeout(DEADLINE, self.stream.read_buf(&mut self.arrived)).await;
            let read = read.expect("the server neither speaks nor closes");
            // Whoever closes with something unread resets.
            if read.unwrap_or_default() == 0 {
                return None;
            }
        }
    }

    /// Hears until `wanted`, or the end.
    pub(super) async fn hear_until(
        &mut self,
        wanted: impl Fn(&Packet<ServerMessage>) -> bool,
    ) -> Option<Packet<ServerMessage>> {
        loop {
            let packet = self.hear().await?;
            if wanted(&packet) {
                return Some(packet);
            }
        }
    }

    /// Hears a CLOSE, or the end without one.
    pub(super) async fn hear_goodbye(&mut self) -> Option<Close> {
        match self.hear_until(|packet| matches!(packet, Packet::Close(_))).await {
            Some(Packet::Close(close)) => Some(close),
            _ => None,
        }
    }

    /// The code of a CLOSE; `None` for an end without one.
    pub(super) async fn hear_close(&mut self) -> Option<CloseCode> {
        self.hear_goodbye().await.map(|close| close.code)
    }

    /// Whether a ping is still answered.
    pub(super) async fn is_served(&mut self, token: u64) -> bool {
        let echo = Echo { token, payload: bytes::Bytes::new() };
        self.say(&packet(Packet::Ping(echo.clone()))).await;
        let heard = self
            .hear_until(|packet| matches!(packet, Packet::Close(_)) || *packet == Packet::Pong(echo.clone()))
            .await;
        matches!(heard, Some(Packet::Pong(_)))
    }

    /// Hears what became of a job.
    pub(super) async fn hear_ended(&mut self, number: u32) -> common::job::Outcome {
        let wanted = |packet: &Packet<ServerMessage>| matches!(packet, Packet::Message { job, message: ServerMessage::Ended(_) } if job.0 == number);
        match self.hear_until(wanted).await {
            Some(Packet::Message { message: ServerMessage::Ended(ended), .. }) => ended.outcome,
            other => panic!("job {number} never ended: {other:?}"),
        }
    }
}

/// The bytes of a packet.
pub(super) fn packet(packet: Packet<ClientMessage>) -> Vec<u8> {
    packet_bytes(packet).unwrap().to_vec()
}

/// The bytes of a request.
pub(super) fn request(job: u32, message: ClientMessage) -> Vec<u8> {
    packet(Packet::Message { job: JobNumber(job), message })
}

/// The bytes of a greeting.
pub(super) fn hello() -> Vec<u8> {
    packet(Packet::Hello(Hello::new("", "test")))
}
