//! Packets to bytes for a peer.
//!
//! Two bounded queues: *ordered* for what belongs to a job's streams, in order, and *control* for what may
//! overtake it (acknowledgements, signals, pongs). One task writes; everyone else holds a [`PacketSender`].

use std::future::poll_fn;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time;

use super::ConnectionError;
use super::gather::Gather;
use super::sink::Sink;
use crate::limits;
use crate::message::Message;
use crate::packet::Packet;

/// Bytes gathered for one write: enough to amortise the call, little enough that control packets are not kept
/// waiting behind it.
const BATCH_BYTES: usize = 2 * limits::DATA_PAYLOAD;

/// The connection's writer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// Puts packets into a connection's queues. Cheap to clone; the writer ends when the last clone is gone.
#[derive(Debug)]
pub struct PacketSender<M> {
    ordered: mpsc::Sender<Packet<M>>,
    control: mpsc::Sender<Packet<M>>,
}

impl<M> Clone for PacketSender<M> {
    fn clone(&self) -> Self {
        Self { ordered: self.ordered.clone(), control: self.control.clone() }
    }
}

impl<M: Message> PacketSender<M> {
    /// Queues a packet behind all ordered ones, waiting for room.
    ///
    /// # Errors
    /// [`Closed`] if the connection is gone.
    pub async fn send(&self, packet: Packet<M>) -> Result<(), Closed> {
        self.ordered.send(packet).await.map_err(|_| Closed)
    }

    /// As [`PacketSender::send`], but without waiting: gives the packet back if there is no room.
    ///
    /// # Errors
    /// The packet, if there is no room or the connection is gone.
    pub fn try_send(&self, packet: Packet<M>) -> Result<(), Packet<M>> {
        self.ordered.try_send(packet).map_err(unsent)
    }

    /// Waits for room among the ordered packets and keeps it, so that bytes need to be read only when they can go.
    ///
    /// # Errors
    /// [`Closed`] if the connection is gone.
    pub async fn reserve(&self) -> Result<mpsc::Permit<'_, Packet<M>>, Closed> {
        self.ordered.reserve().await.map_err(|_| Closed)
    }

    /// Queues a packet that may overtake ordered ones, waiting for room.
    ///
    /// # Errors
    /// [`Closed`] if the connection is gone.
    pub async fn send_control(&self, packet: Packet<M>) -> Result<(), Closed> {
        self.control.send(packet).await.map_err(|_| Closed)
    }

    /// As [`PacketSender::reserve`], among the control packets.
    ///
    /// # Errors
    /// [`Closed`] if the connection is gone.
    pub async fn reserve_control(&self) -> Result<mpsc::Permit<'_, Packet<M>>, Closed> {
        self.control.reserve().await.map_err(|_| Closed)
    }

    /// As [`PacketSender::send_control`], but without waiting: gives the packet back if there is no room.
    ///
    /// # Errors
    /// The packet, if there is no room or the connection is gone.
    pub fn try_send_control(&self, packet: Packet<M>) -> Result<(), Packet<M>> {
        self.control.try_send(packet).map_err(unsent)
    }

    /// Whether `other` puts packets into the same queues.
    pub fn is_same(&self, other: &Self) -> bool {
        self.control.same_channel(&other.control)
    }

    /// Waits until the connection is gone.
    pub async fn closed(&self) {
        self.ordered.closed().await;
    }
}

/// The other end of the queues, for the writing task.
#[derive(Debug)]
pub struct PacketWriter<M> {
    ordered: mpsc::Receiver<Packet<M>>,
    control: mpsc::Receiver<Packet<M>>,
}

/// The queues of one connection.
pub fn packet_queue<M: Message>() -> (PacketSender<M>, PacketWriter<M>) {
    let (ordered, ordered_queue) = mpsc::channel(limits::ORDERED_QUEUE);
    let (control, control_queue) = mpsc::channel(limits::CONTROL_QUEUE);
    (PacketSender { ordered, control }, PacketWriter { ordered: ordered_queue, control: control_queue })
}

impl<M: Message> PacketWriter<M> {
    /// Writes what is queued until every sender is gone or a CLOSE is written, then ends this side of the stream.
    /// `stall` is how long the peer may take nothing.
    ///
    /// # Errors
    /// [`ConnectionError`] for I/O, or for a peer that takes nothing for `stall`.
    pub async fn run(mut self, mut sink: impl Sink, stall: Duration) -> Result<(), ConnectionError> {
        let mut batch = Gather::default();
        let mut closed = false;
        while !closed && let Some(packet) = self.next().await {
            closed = push(&mut batch, packet)? || self.drain_ready(&mut batch)?;
            while !batch.is_empty() || !sink.is_flushed() {
                let sent = poll_fn(|context| sink.poll_send(context, &mut batch));
                time::timeout(stall, sent).await.map_err(|_| ConnectionError::Stalled)??;
            }
        }
        let ended = poll_fn(|context| sink.poll_end(context));
        time::timeout(stall, ended).await.map_err(|_| ConnectionError::Stalled)??;
        Ok(())
    }

    /// The next packet of either queue, control first; `None` when all senders are gone.
    async fn next(&mut self) -> Option<Packet<M>> {
        tokio::select! {
            biased;
            Some(packet) = self.control.recv() => Some(packet),
            Some(packet) = self.ordered.recv() => Some(packet),
            else => None,
        }
    }

    /// Whether a CLOSE was among what was ready; nothing is taken behind it.
    fn drain_ready(&mut self, batch: &mut Gather) -> Result<bool, ConnectionError> {
        while batch.len() < BATCH_BYTES {
            let Ok(packet) = self.control.try_recv().or_else(|_| self.ordered.try_recv()) else { break };
            if push(batch, packet)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn unsent<M>(error: TrySendError<Packet<M>>) -> Packet<M> {
    match error {
        TrySendError::Full(packet) | TrySendError::Closed(packet) => packet,
    }
}

/// Whether it was a CLOSE, the last of a connection.
fn push<M: Message>(batch: &mut Gather, packet: Packet<M>) -> Result<bool, ConnectionError> {
    let closes = matches!(packet, Packet::Close(_));
    let (header, payload) = packet.into_parts().map_err(ConnectionError::Unsendable)?;
    batch.copy(&header.encode());
    batch.append(payload);
    Ok(closes)
}

/// The bytes of one packet, for those who write it themselves.
///
/// # Errors
/// [`ConnectionError::Unsendable`] if a message is over its limit.
pub fn packet_bytes<M: Message>(packet: Packet<M>) -> Result<BytesMut, ConnectionError> {
    let (header, payload) = packet.into_parts().map_err(ConnectionError::Unsendable)?;
    let mut bytes = BytesMut::from(&header.encode()[..]);
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}
