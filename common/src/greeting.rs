//! HELLO, WELCOME and CLOSE: the payloads that can arrive from someone we do not know yet.
//!
//! Coded by hand and small, so that nothing but this file and the frame header is exposed to strangers.

use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::invitation::Token;
use crate::limits;

/// First bytes of HELLO and WELCOME: NUL and CRLF show a peer or a middlebox that takes the stream for text.
pub const MAGIC: [u8; 8] = *b"TELEX\0\r\n";

/// The version this crate speaks; see the version rule in `docs/protocol.md`.
pub const VERSION: u16 = 2;

/// Extension tag of the software's name and version.
const TAG_SOFTWARE: u16 = 1;

/// Extension tag of an invitation's token.
const TAG_TOKEN: u16 = 2;

/// Extension tag of the client's own address: 16 bytes of IPv6, or of IPv4 in its form, and the port.
const TAG_ADDRESS: u16 = 3;

/// Extension tag of the [`Features`]: four bytes, one bit each. Left out where there are none.
const TAG_FEATURES: u16 = 4;

/// What a side knows beyond what its version says. Nothing of it is said to a peer that does not know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u8);

impl Features {
    /// Jobs on a terminal, and login shells: `StartWith` with a terminal, the order to resize it, `OnTerminal`.
    pub const TERMINALS: Self = Self(1);

    /// Jobs with control descriptors: `StartWith` with control, the order that says something to one, stream 5.
    pub const CONTROL: Self = Self(2);

    /// All that this crate has messages for.
    pub const KNOWN: Self = Self::TERMINALS.and(Self::CONTROL);

    /// What the bits of a greeting stand for; those that have no name yet stand for nothing.
    fn from_bits(bits: u32) -> Self {
        Self(bits.to_le_bytes().first().map_or(0, |low| low & Self::KNOWN.0))
    }

    /// These and `others`.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of `others` are among these.
    pub fn contain(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// How a client claims to be allowed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// As the one whom the transport has identified: by its key, or by the peer credentials of a Unix socket.
    Transport,
    /// As one who is invited, and whose key the server does not know yet.
    Invitation(Token),
    /// A method that this version does not know.
    Unknown(u8),
}

/// The client's greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Lowest version spoken.
    pub lowest: u16,
    /// Highest version spoken.
    pub highest: u16,
    /// Authentication method.
    pub method: Method,
    /// User to run commands as; empty for the server's own. At most 255 bytes.
    pub user: String,
    /// Name and version of the software, for people.
    pub software: String,
    /// The client's end of the TCP connection, as its own system knows it.
    pub address: Option<SocketAddr>,
    /// What the client knows beyond the version.
    pub features: Features,
}

impl Hello {
    /// A greeting in this crate's own version, with no features.
    pub fn new(user: &str, software: &str) -> Self {
        Self {
            lowest: VERSION,
            highest: VERSION,
            method: Method::Transport,
            user: user.to_owned(),
            software: software.to_owned(),
            address: None,
            features: Features::default(),
        }
    }

    /// The payload of a HELLO frame. Strings longer than their field are cut.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_slice(&MAGIC);
        out.put_u16_le(self.lowest);
        out.put_u16_le(self.highest);
        out.put_u8(match self.method {
            Method::Transport => 0,
            Method::Invitation(_) => 1,
            Method::Unknown(number) => number,
        });
        let user = cut(&self.user, u8::MAX.into());
        out.put_u8(user.len() as u8);
        out.put_slice(user.as_bytes());
        put_software(&mut out, &self.software);
        if let Method::Invitation(token) = &self.method {
            put_extension(&mut out, TAG_TOKEN, &token.to_bytes());
        }
        if let Some(address) = self.address {
            put_extension(&mut out, TAG_ADDRESS, &address_bytes(address));
        }
        put_features(&mut out, self.features);
        out.freeze()
    }

    /// Reads the payload of a HELLO frame.
    ///
    /// # Errors
    /// A [`GreetingError`]; always the peer's fault.
    pub fn decode(payload: &[u8]) -> Result<Self, GreetingError> {
        let mut rest = expect_magic(payload)?;
        let lowest = rest.try_get_u16_le().map_err(|_| GreetingError::Truncated)?;
        let highest = rest.try_get_u16_le().map_err(|_| GreetingError::Truncated)?;
        let method = rest.try_get_u8().map_err(|_| GreetingError::Truncated)?;
        let user_len = rest.try_get_u8().map_err(|_| GreetingError::Truncated)?;
        let user = text(take(&mut rest, user_len.into())?)?;
        let Extensions { software, token, address, features } = Extensions::take(rest)?;
        let method = match method {
            0 => Method::Transport,
            1 => Method::Invitation(token.ok_or(GreetingError::NoToken)?),
            number => Method::Unknown(number),
        };
        Ok(Self { lowest, highest, method, user, software, address, features })
    }

    /// The version to use with a peer that greets so, if there is one.
    pub fn common_version(&self) -> Option<u16> {
        (self.lowest..=self.highest).contains(&VERSION).then_some(VERSION)
    }
}

/// The server's answer to HELLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The version chosen.
    pub version: u16,
    /// Name and version of the software, for people.
    pub software: String,
    /// What the server knows beyond the version.
    pub features: Features,
}

impl Welcome {
    /// The payload of a WELCOME frame.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_slice(&MAGIC);
        out.put_u16_le(self.version);
        put_software(&mut out, &self.software);
        put_features(&mut out, self.features);
        out.freeze()
    }

    /// Reads the payload of a WELCOME frame.
    ///
    /// # Errors
    /// A [`GreetingError`]; always the peer's fault.
    pub fn decode(payload: &[u8]) -> Result<Self, GreetingError> {
        let mut rest = expect_magic(payload)?;
        let version = rest.try_get_u16_le().map_err(|_| GreetingError::Truncated)?;
        let Extensions { software, features, .. } = Extensions::take(rest)?;
        Ok(Self { version, software, features })
    }
}

/// Why a connection is closed. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCode {
    /// No common version.
    Version,
    /// This peer may not connect.
    Denied,
    /// The receiver broke a rule of the protocol.
    Violation,
    /// A limit of connections is reached.
    Busy,
    /// The sender is stopping.
    GoingAway,
    /// The peer was silent past a deadline.
    TimedOut,
    /// The sender failed by its own fault.
    Internal,
    /// The invitation is spent, has expired, or was never made.
    Invitation,
    /// The client is let in, and not as the user it wants to be.
    Account,
    /// A code that this version does not know.
    Unknown(u16),
}

impl CloseCode {
    /// Every code that this version knows, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Version,
        Self::Denied,
        Self::Violation,
        Self::Busy,
        Self::GoingAway,
        Self::TimedOut,
        Self::Internal,
        Self::Invitation,
        Self::Account,
    ];

    fn number(self) -> u16 {
        match self {
            Self::Version => 1,
            Self::Denied => 2,
            Self::Violation => 3,
            Self::Busy => 4,
            Self::GoingAway => 5,
            Self::TimedOut => 6,
            Self::Internal => 7,
            Self::Invitation => 8,
            Self::Account => 9,
            Self::Unknown(number) => number,
        }
    }

    fn from_number(number: u16) -> Self {
        Self::ALL.into_iter().find(|code| code.number() == number).unwrap_or(Self::Unknown(number))
    }
}

/// The last frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub code: CloseCode,
    /// Why, for people; from the peer, so not to be printed unescaped.
    pub text: String,
}

impl Close {
    /// A CLOSE with this reason.
    pub fn new(code: CloseCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The payload of a CLOSE frame. A text over the limit is cut.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u16_le(self.code.number());
        out.put_slice(cut(&self.text, limits::CLOSE_PAYLOAD - 2).as_bytes());
        out.freeze()
    }

    /// Reads the payload of a CLOSE frame.
    ///
    /// # Errors
    /// A [`GreetingError`]; always the peer's fault.
    pub fn decode(mut payload: &[u8]) -> Result<Self, GreetingError> {
        let code = payload.try_get_u16_le().map_err(|_| GreetingError::Truncated)?;
        Ok(Self { code: CloseCode::from_number(code), text: text(payload)? })
    }
}

/// A greeting that cannot be read. Always the peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GreetingError {
    /// Not Telex at all.
    #[error("the magic bytes are missing")]
    NotTelex,
    /// A field runs past the end.
    #[error("the greeting ends inside a field")]
    Truncated,
    /// A text is not UTF-8.
    #[error("a text in the greeting is not UTF-8")]
    NotUtf8,
    /// Somebody claims to be invited, and shows no token.
    #[error("the greeting lacks a token, or has one of the wrong length")]
    NoToken,
}

fn expect_magic(payload: &[u8]) -> Result<&[u8], GreetingError> {
    payload.strip_prefix(&MAGIC).ok_or(GreetingError::NotTelex)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], GreetingError> {
    let (taken, left) = rest.split_at_checked(len).ok_or(GreetingError::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn text(bytes: &[u8]) -> Result<String, GreetingError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| GreetingError::NotUtf8)
}

fn put_software(out: &mut BytesMut, software: &str) {
    put_extension(out, TAG_SOFTWARE, cut(software, u8::MAX.into()).as_bytes());
}

fn put_features(out: &mut BytesMut, features: Features) {
    if features != Features::default() {
        put_extension(out, TAG_FEATURES, &u32::from(features.0).to_le_bytes());
    }
}

fn put_extension(out: &mut BytesMut, tag: u16, value: &[u8]) {
    out.put_u16_le(tag);
    out.put_u16_le(value.len() as u16);
    out.put_slice(value);
}

/// The extensions that this version knows.
#[derive(Debug, Default)]
struct Extensions {
    software: String,
    token: Option<Token>,
    address: Option<SocketAddr>,
    features: Features,
}

impl Extensions {
    /// Walks the extensions; unknown ones are skipped so that later versions can add some.
    fn take(mut rest: &[u8]) -> Result<Self, GreetingError> {
        let mut extensions = Self::default();
        while !rest.is_empty() {
            let tag = rest.try_get_u16_le().map_err(|_| GreetingError::Truncated)?;
            let len = rest.try_get_u16_le().map_err(|_| GreetingError::Truncated)?;
            let value = take(&mut rest, len.into())?;
            match tag {
                TAG_SOFTWARE => extensions.software = text(value)?,
                TAG_TOKEN => {
                    let token = value.try_into().map_err(|_| GreetingError::NoToken)?;
                    extensions.token = Some(Token::from_bytes(token));
                }
                TAG_ADDRESS => extensions.address = Some(address(value)?),
                TAG_FEATURES => {
                    let bits = value.try_into().map_err(|_| GreetingError::Truncated)?;
                    extensions.features = Features::from_bits(u32::from_le_bytes(bits));
                }
                _ => {}
            }
        }
        Ok(extensions)
    }
}

fn address_bytes(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    let (host, port) = bytes.split_at_mut(16);
    host.copy_from_slice(&ip.octets());
    port.copy_from_slice(&address.port().to_le_bytes());
    bytes
}

fn address(bytes: &[u8]) -> Result<SocketAddr, GreetingError> {
    let (ip, port) = bytes.split_first_chunk::<16>().ok_or(GreetingError::Truncated)?;
    let port = <[u8; 2]>::try_from(port).map_err(|_| GreetingError::Truncated)?;
    let ip = IpAddr::from(*ip).to_canonical();
    Ok(SocketAddr::new(ip, u16::from_le_bytes(port)))
}

fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}
