//! One side's TLS state: bytes in, bytes out. No I/O, and the same for both sides.
//!
//! ```text
//!                    ┌─────────────┐  handshake is over   ┌─────────┐  close_notify came  ┌────────┐
//!   new ───────────► │ handshaking │ ───────────────────► │ traffic │ ──────────────────► │ closed │
//!                    └─────────────┘                      └─────────┘                     └────────┘
//! ```
//!
//! An error ends it in any state, and leaves the alert to be sent in the outgoing bytes.

use std::fmt;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedConnectionCommon, UnbufferedStatus,
};
use rustls::{CommonState, PeerMisbehaved};

use super::byte_queue::ByteQueue;
use super::settings::{ClientTls, ServerTls};
use super::{APPLICATION_PROTOCOL, TlsError};
use crate::keys::PublicKey;

/// Plaintext of a full record (RFC 8446, section 5.1).
pub(super) const RECORD: usize = 16 * 1024;

/// Type, version and length of a record.
const RECORD_HEADER: usize = 5;

/// What a record adds at most to the plaintext it carries: header, content type, tag.
const RECORD_OVERHEAD: usize = RECORD_HEADER + 1 + 16;

/// Bytes of the largest record that a peer may send (RFC 8446, section 5.2).
pub(super) const LARGEST_RECORD: usize = RECORD_HEADER + RECORD + 256;

/// More than the records that announce the end take.
const CLOSE_ROOM: usize = 1024;

/// The name that the library asks for and never sends.
const NO_NAME: &str = "telex.invalid";

/// How far the bytes that have arrived go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Some of them are plaintext now, and there may be more.
    Plaintext,
    /// More have to arrive.
    Hungry,
    /// The peer has said that nothing more will come.
    Closed,
}

/// TLS for either side.
pub(super) struct Session {
    side: Side,
    /// Bytes at the front of what has arrived that the library has looked at and wants to see again: whole records with
    /// a part of a handshake message. 0 once the handshake is over.
    kept: usize,
}

enum Side {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.side {
            Side::Client(_) => "Session of a client",
            Side::Server(_) => "Session of a server",
        })
    }
}

impl Session {
    pub(super) fn client(settings: &ClientTls) -> Result<Self, TlsError> {
        let name = ServerName::try_from(NO_NAME)
            .map_err(|_| TlsError::Protocol(rustls::Error::UnsupportedNameType))?;
        let connection = UnbufferedClientConnection::new(settings.config.clone(), name)?;
        Ok(Self { side: Side::Client(Box::new(connection)), kept: 0 })
    }

    pub(super) fn server(settings: &ServerTls) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(settings.config.clone())?;
        Ok(Self { side: Side::Server(Box::new(connection)), kept: 0 })
    }

    /// Whether the handshake still goes on.
    pub(super) fn is_handshaking(&self) -> bool {
        match &self.side {
            Side::Client(connection) => connection.is_handshaking(),
            Side::Server(connection) => connection.is_handshaking(),
        }
    }

    /// The key that the peer has proven to own, once the handshake is over.
    ///
    /// # Errors
    /// [`TlsError`] if the peer did not agree on our application protocol, or has shown no key.
    pub(super) fn peer(&self) -> Result<PublicKey, TlsError> {
        let (protocol, keys) = match &self.side {
            Side::Client(connection) => (connection.alpn_protocol(), connection.peer_certificates()),
            Side::Server(connection) => (connection.alpn_protocol(), connection.peer_certificates()),
        };
        // The library refuses another protocol, and lets none at all pass.
        if self.is_handshaking() || protocol != Some(APPLICATION_PROTOCOL) {
            return Err(TlsError::ApplicationProtocol);
        }
        let key = keys.and_then(|keys| keys.first()).and_then(|key| PublicKey::from_spki(key));
        key.ok_or(TlsError::Protocol(rustls::Error::NoCertificatesPresented))
    }

    /// Takes records from the front of `incoming`, up to the first with plaintext, which goes to `plaintext`. What has to
    /// be sent because of them is added to `outgoing`, also in case of an error.
    pub(super) fn receive(
        &mut self,
        incoming: &mut ByteQueue,
        outgoing: &mut ByteQueue,
        plaintext: &mut impl FnMut(&[u8]),
    ) -> Result<Step, TlsError> {
        let Self { side, kept } = self;
        match side {
            Side::Client(connection) => receive(&mut ***connection, kept, incoming, outgoing, plaintext),
            Side::Server(connection) => receive(&mut ***connection, kept, incoming, outgoing, plaintext),
        }
    }

    /// Adds `plaintext`, in one record or more, to `outgoing`. Only once the handshake is over.
    pub(super) fn send(&mut self, plaintext: &[u8], outgoing: &mut ByteQueue) -> Result<(), TlsError> {
        match &mut self.side {
            Side::Client(connection) => send(&mut ***connection, plaintext, outgoing),
            Side::Server(connection) => send(&mut ***connection, plaintext, outgoing),
        }
    }

    /// Adds the announcement that nothing more will be sent.
    pub(super) fn close(&mut self, outgoing: &mut ByteQueue) -> Result<(), TlsError> {
        match &mut self.side {
            Side::Client(connection) => close(&mut ***connection, outgoing),
            Side::Server(connection) => close(&mut ***connection, outgoing),
        }
    }
}

/// What the library offers for either side in two types that have no trait in common.
trait Records {
    type Data;

    fn is_handshaking(&self) -> bool;

    fn wants_write(&self) -> bool;

    fn process<'i>(&mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'_, 'i, Self::Data>;
}

impl Records for UnbufferedConnectionCommon<ClientConnectionData> {
    type Data = ClientConnectionData;

    fn is_handshaking(&self) -> bool {
        CommonState::is_handshaking(self)
    }

    fn wants_write(&self) -> bool {
        CommonState::wants_write(self)
    }

    fn process<'i>(&mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'_, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Records for UnbufferedConnectionCommon<ServerConnectionData> {
    type Data = ServerConnectionData;

    fn is_handshaking(&self) -> bool {
        CommonState::is_handshaking(self)
    }

    fn wants_write(&self) -> bool {
        CommonState::wants_write(self)
    }

    fn process<'i>(&mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'_, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

/// One record at a time, so that what the library does with it shows in how much it wants discarded: nothing of a part of
/// a handshake message, or else everything it was given.
fn receive(
    connection: &mut impl Records,
    kept: &mut usize,
    incoming: &mut ByteQueue,
    outgoing: &mut ByteQueue,
    plaintext: &mut impl FnMut(&[u8]),
) -> Result<Step, TlsError> {
    loop {
        let record = record_len(incoming.bytes().get(*kept..).unwrap_or_default());
        let given = record.map_or(incoming.len(), |len| *kept + len);
        let records = incoming.bytes_mut().get_mut(..given).unwrap_or_default();
        let UnbufferedStatus { discard, state } = connection.process(records);
        let done = state.map_err(TlsError::from).and_then(|state| act_on(state, outgoing, plaintext));
        incoming.pop(discard);
        let step = match done {
            Ok(step) => step,
            Err(error) => {
                take_alert(connection, outgoing);
                return Err(error);
            }
        };
        match (discard, step) {
            (0, Some(Step::Hungry)) if record.is_some() => {
                // A part of a message. The library would look for it here when we send, too; and after the handshake no
                // peer has a reason to cut one.
                if !connection.is_handshaking() {
                    return Err(cut_message());
                }
                *kept = given;
            }
            (0, None) => {}
            (0, Some(step)) => return Ok(step),
            (discard, step) if discard == given && record.is_some() => {
                *kept = 0;
                match step {
                    // There may be another record.
                    None | Some(Step::Hungry) => {}
                    Some(step) => return Ok(step),
                }
            }
            // It has kept a record that came before one that it is done with.
            _ => return Err(cut_message()),
        }
    }
}

/// Does what a state asks for; the step that was made, if it was one.
fn act_on<D>(
    state: ConnectionState<'_, '_, D>,
    outgoing: &mut ByteQueue,
    plaintext: &mut impl FnMut(&[u8]),
) -> Result<Option<Step>, TlsError> {
    match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                plaintext(record?.payload);
            }
            Ok(Some(Step::Plaintext))
        }
        ConnectionState::EncodeTlsData(data) => encode(data, outgoing).map(|()| None),
        ConnectionState::TransmitTlsData(sent) => {
            // Sent in order by whoever owns `outgoing`, which is all that the library needs to know.
            sent.done();
            Ok(None)
        }
        ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake => Ok(Some(Step::Hungry)),
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Some(Step::Closed)),
        // Early data, which is not offered, and states of a later library.
        _ => Err(TlsError::Protocol(rustls::Error::HandshakeNotComplete)),
    }
}

/// The length of the first record in `bytes`, if it is whole.
fn record_len(bytes: &[u8]) -> Option<usize> {
    let [_, _, _, high, low, rest @ ..] = bytes else { return None };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    (rest.len() >= len).then_some(RECORD_HEADER + len)
}

fn cut_message() -> TlsError {
    TlsError::Protocol(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into())
}

/// After an error, the library still holds what the peer is to be told about it. It must not get to look at the incoming
/// bytes again.
fn take_alert(connection: &mut impl Records, outgoing: &mut ByteQueue) {
    while connection.wants_write() {
        let Ok(ConnectionState::EncodeTlsData(data)) = connection.process(&mut []).state else { return };
        if encode(data, outgoing).is_err() {
            return;
        }
    }
}

fn send(connection: &mut impl Records, plaintext: &[u8], outgoing: &mut ByteQueue) -> Result<(), TlsError> {
    let mut room = plaintext.len() + plaintext.len().div_ceil(RECORD) * RECORD_OVERHEAD;
    loop {
        match connection.process(&mut []).state? {
            ConnectionState::WriteTraffic(mut traffic) => {
                match traffic.encrypt(plaintext, outgoing.room(room)) {
                    Ok(written) => {
                        outgoing.push(written);
                        return Ok(());
                    }
                    // New keys are announced before they are used, which takes room, too.
                    Err(EncryptError::InsufficientSize(size)) if size.required_size > room => {
                        room = size.required_size;
                    }
                    Err(_) => return Err(TlsError::Protocol(rustls::Error::EncryptError)),
                }
            }
            state => go_on(state, outgoing)?,
        }
    }
}

fn close(connection: &mut impl Records, outgoing: &mut ByteQueue) -> Result<(), TlsError> {
    loop {
        match connection.process(&mut []).state? {
            ConnectionState::WriteTraffic(mut traffic) => {
                let written = traffic.queue_close_notify(outgoing.room(CLOSE_ROOM));
                outgoing.push(written.map_err(|_| TlsError::Protocol(rustls::Error::EncryptError))?);
                return Ok(());
            }
            ConnectionState::Closed => return Ok(()),
            state => go_on(state, outgoing)?,
        }
    }
}

/// Passes a state that lies between us and sending.
fn go_on<D>(state: ConnectionState<'_, '_, D>, outgoing: &mut ByteQueue) -> Result<(), TlsError> {
    match state {
        ConnectionState::EncodeTlsData(data) => encode(data, outgoing),
        ConnectionState::TransmitTlsData(sent) => {
            sent.done();
            Ok(())
        }
        ConnectionState::PeerClosed => Ok(()),
        _ => Err(TlsError::Protocol(rustls::Error::HandshakeNotComplete)),
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, outgoing: &mut ByteQueue) -> Result<(), TlsError> {
    let written = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(size)) => data.encode(outgoing.room(size.required_size)),
        other => other,
    };
    outgoing.push(written.map_err(|_| TlsError::Protocol(rustls::Error::EncryptError))?);
    Ok(())
}
