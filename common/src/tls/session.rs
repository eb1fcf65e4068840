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

/// What a record adds at most to the plaintext it carries: header, content type, tag.
const RECORD_OVERHEAD: usize = 5 + 1 + 16;

/// Bytes of the largest record that a peer may send (RFC 8446, section 5.2).
pub(super) const LARGEST_RECORD: usize = 5 + RECORD + 256;

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
pub(super) enum Session {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client(_) => "Session::Client",
            Self::Server(_) => "Session::Server",
        })
    }
}

impl Session {
    pub(super) fn client(settings: &ClientTls) -> Result<Self, TlsError> {
        let name = ServerName::try_from(NO_NAME)
            .map_err(|_| TlsError::Protocol(rustls::Error::UnsupportedNameType))?;
        let connection = UnbufferedClientConnection::new(settings.config.clone(), name)?;
        Ok(Self::Client(Box::new(connection)))
    }

    pub(super) fn server(settings: &ServerTls) -> Result<Self, TlsError> {
        Ok(Self::Server(Box::new(UnbufferedServerConnection::new(settings.config.clone())?)))
    }

    /// Whether the handshake still goes on.
    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Self::Client(connection) => connection.is_handshaking(),
            Self::Server(connection) => connection.is_handshaking(),
        }
    }

    /// The key that the peer has proven to own, once the handshake is over.
    ///
    /// # Errors
    /// [`TlsError`] if the peer did not agree on our application protocol, or has shown no key.
    pub(super) fn peer(&self) -> Result<PublicKey, TlsError> {
        let (protocol, keys) = match self {
            Self::Client(connection) => (connection.alpn_protocol(), connection.peer_certificates()),
            Self::Server(connection) => (connection.alpn_protocol(), connection.peer_certificates()),
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
        match self {
            Self::Client(connection) => receive(&mut ***connection, incoming, outgoing, plaintext),
            Self::Server(connection) => receive(&mut ***connection, incoming, outgoing, plaintext),
        }
    }

    /// Adds `plaintext`, in one record or more, to `outgoing`. Only once the handshake is over.
    pub(super) fn send(&mut self, plaintext: &[u8], outgoing: &mut ByteQueue) -> Result<(), TlsError> {
        match self {
            Self::Client(connection) => send(&mut ***connection, plaintext, outgoing),
            Self::Server(connection) => send(&mut ***connection, plaintext, outgoing),
        }
    }

    /// Adds the announcement that nothing more will be sent.
    pub(super) fn close(&mut self, outgoing: &mut ByteQueue) -> Result<(), TlsError> {
        match self {
            Self::Client(connection) => close(&mut ***connection, outgoing),
            Self::Server(connection) => close(&mut ***connection, outgoing),
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

fn receive(
    connection: &mut impl Records,
    incoming: &mut ByteQueue,
    outgoing: &mut ByteQueue,
    plaintext: &mut impl FnMut(&[u8]),
) -> Result<Step, TlsError> {
    loop {
        let UnbufferedStatus { discard, state } = connection.process(incoming.bytes_mut());
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    plaintext(record?.payload);
                }
                Some(Step::Plaintext)
            }
            Ok(ConnectionState::EncodeTlsData(data)) => {
                encode(data, outgoing)?;
                None
            }
            Ok(ConnectionState::TransmitTlsData(sent)) => {
                // Sent in order by whoever owns `outgoing`, which is all that the library needs to know.
                sent.done();
                None
            }
            Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => Some(Step::Hungry),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Some(Step::Closed),
            // Early data, which is not offered, and states of a later library.
            Ok(_) => return Err(TlsError::Protocol(rustls::Error::HandshakeNotComplete)),
            Err(error) => {
                incoming.pop(discard);
                take_alert(connection, outgoing);
                return Err(error.into());
            }
        };
        incoming.pop(discard);
        match step {
            Some(Step::Hungry) if !connection.is_handshaking() && begins_with_a_record(incoming.bytes()) => {
                return Err(TlsError::Protocol(
                    PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into(),
                ));
            }
            Some(step) => return Ok(step),
            None => {}
        }
    }
}

/// Whether a whole record has been left where it was: part of a handshake message that its sender has cut into several,
/// long after the handshake. The library keeps its place in the bytes, and would look for them when we send. No peer has
/// a reason to do that.
fn begins_with_a_record(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, high, low, rest @ ..] if rest.len() >= u16::from_be_bytes([*high, *low]).into())
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
