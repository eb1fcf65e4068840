//! Values that are kept in files, so that whoever reads one knows it whole and unchanged, and knows what it is.
//!
//! A record is an envelope, which every version keeps as it is, and a body:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `TLXR` |
//! | 1 | its kind |
//! | 1 | the version of its body |
//! | 4 | length of the body, little-endian |
//! | n | the body |
//! | 8 | the first bytes of the SHA-256 of all before |
//!
//! A file that is cut off or has a bit flipped is no record. One of a newer version is known as such. Knows no file.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::encoding::{self, EncodingError};
use crate::job::Digest;
use crate::limits;

const MAGIC: [u8; 4] = *b"TLXR";
const HEADER_BYTES: usize = 10;
const CHECKSUM_BYTES: usize = 8;

/// Body of a record: the end of a job as it is sent, and a little about it.
const BODY_BYTES: usize = limits::RESPONSE_PAYLOAD + 1024;

/// Most bytes of a record; a file that has more is none.
pub const RECORD_BYTES: usize = HEADER_BYTES + BODY_BYTES + CHECKSUM_BYTES;

/// What can be kept.
pub trait Record: Serialize + DeserializeOwned {
    /// Which kind it is; no two have the same.
    const KIND: u8;

    /// The version of its body.
    const VERSION: u8 = 1;
}

/// The bytes that keep `value`.
///
/// # Errors
/// [`RecordError::TooLong`]; [`RecordError::Damaged`] for a value that has no encoding.
pub fn seal<R: Record>(value: &R) -> Result<Vec<u8>, RecordError> {
    let body = encoding::encode(value)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= BODY_BYTES)
        .ok_or(RecordError::TooLong { length: body.len() })?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() + CHECKSUM_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[R::KIND, R::VERSION]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&body);
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum);
    Ok(bytes)
}

/// The value that `bytes` keep.
///
/// # Errors
/// [`RecordError`] unless they are exactly one whole record of this kind and version.
pub fn open<R: Record>(bytes: &[u8]) -> Result<R, RecordError> {
    if bytes.len() > RECORD_BYTES {
        return Err(RecordError::TooLong { length: bytes.len() });
    }
    let (content, sum) =
        bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| damaged("it is cut off"))?;
    let (header, body) =
        content.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| damaged("it is cut off"))?;
    let [m0, m1, m2, m3, kind, version, l0, l1, l2, l3] = *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(damaged("it is not a record"));
    }
    if checksum(content) != *sum {
        return Err(damaged("its checksum is wrong"));
    }
    if usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])) != Ok(body.len()) {
        return Err(damaged("its length is wrong"));
    }
    if kind != R::KIND {
        return Err(damaged("it is another kind of record"));
    }
    if version > R::VERSION {
        return Err(RecordError::Newer { version });
    }
    if version < R::VERSION {
        return Err(damaged("its version was never in use"));
    }
    Ok(encoding::decode::<R, BODY_BYTES>(body)?)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, e, f, g, h, ..] = Digest::of(bytes).to_bytes();
    [a, b, c, d, e, f, g, h]
}

fn damaged(reason: &str) -> RecordError {
    RecordError::Damaged(reason.to_owned())
}

/// What is no record that can be used. Nobody's fault but the disk's, or that of whoever changed the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Not the bytes that were written, or not for this.
    #[error("{0}")]
    Damaged(String),
    /// A newer program has written it: this one is to leave it alone.
    #[error("a newer Telex has written it (version {version})")]
    Newer {
        /// The version of its body.
        version: u8,
    },
    /// Longer than a record may be.
    #[error("it has {length} bytes, at most {RECORD_BYTES} are kept")]
    TooLong {
        /// Its length.
        length: usize,
    },
}

impl From<EncodingError> for RecordError {
    fn from(error: EncodingError) -> Self {
        match error {
            EncodingError::Malformed(reason) => Self::Damaged(reason),
            EncodingError::TrailingBytes { count } => {
                Self::Damaged(format!("{count} bytes follow its contents"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Sample(String, u16);

    impl Record for Sample {
        const KIND: u8 = 200;
    }

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Newer(String, u16, u8);

    impl Record for Newer {
        const KIND: u8 = 200;
        const VERSION: u8 = 2;
    }

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Other(String, u16);

    impl Record for Other {
        const KIND: u8 = 201;
    }

    fn sample() -> Sample {
        Sample("text".to_owned(), 7)
    }

    #[test]
    fn what_was_kept_is_read_again() {
        assert_eq!(open::<Sample>(&seal(&sample()).unwrap()), Ok(sample()));
    }

    #[test]
    fn nothing_that_is_cut_off_or_has_a_bit_flipped_is_taken() {
        let bytes = seal(&sample()).unwrap();
        for length in 0..bytes.len() {
            assert!(matches!(open::<Sample>(&bytes[..length]), Err(RecordError::Damaged(_))), "{length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(open::<Sample>(&flipped), Err(RecordError::Damaged(_))), "{bit}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(open::<Sample>(&longer), Err(RecordError::Damaged(_))));
    }

    #[test]
    fn a_newer_version_is_known_as_such_and_another_kind_is_not_taken() {
        let newer = seal(&Newer("text".to_owned(), 7, 0)).unwrap();
        assert_eq!(open::<Sample>(&newer), Err(RecordError::Newer { version: 2 }));
        let sealed = seal(&sample()).unwrap();
        assert!(matches!(open::<Newer>(&sealed), Err(RecordError::Damaged(_))));
        assert!(matches!(open::<Other>(&sealed), Err(RecordError::Damaged(_))));
    }

    #[test]
    fn what_is_too_long_is_neither_kept_nor_read() {
        let length = BODY_BYTES + 1;
        let text = "x".repeat(length - 10);
        assert_eq!(seal(&Sample(text, 0)), Err(RecordError::TooLong { length }));
        assert!(seal(&Sample("x".repeat(length - 11), 0)).is_ok());
        let bytes = vec![0; RECORD_BYTES + 1];
        assert_eq!(open::<Sample>(&bytes), Err(RecordError::TooLong { length: RECORD_BYTES + 1 }));
    }
}
