//! Values to bytes and back. The only place that knows how: [`message`](crate::message) and [`record`](crate::record) say what
//! is sent and kept.
//!
//! bincode 2.0.1 in its fixed-width little-endian configuration. It is no longer maintained; `wincode` writes the
//! same bytes for the types used here and can take its place in this file.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The bytes of `value`.
///
/// # Errors
/// [`EncodingError::Malformed`] for a value that has no encoding.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodingError> {
    bincode::serde::encode_to_vec(value, bincode::config::legacy())
        .map_err(|error| EncodingError::Malformed(error.to_string()))
}

/// The value in `bytes`. What it claims to hold is counted before anything is allocated, `LIMIT` bytes at most.
///
/// # Errors
/// [`EncodingError`] for anything but exactly one value.
pub(crate) fn decode<T: DeserializeOwned, const LIMIT: usize>(bytes: &[u8]) -> Result<T, EncodingError> {
    let config = bincode::config::legacy().with_limit::<LIMIT>();
    let (value, read) = bincode::serde::decode_from_slice(bytes, config)
        .map_err(|error| EncodingError::Malformed(error.to_string()))?;
    match bytes.len() - read {
        0 => Ok(value),
        count => Err(EncodingError::TrailingBytes { count }),
    }
}

/// What is no encoding of a value.
#[derive(Debug)]
pub(crate) enum EncodingError {
    /// Not a value of the expected type.
    Malformed(String),
    /// Bytes behind the value.
    TrailingBytes {
        /// How many.
        count: usize,
    },
}
