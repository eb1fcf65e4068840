//! SHA-256: of files here, and of what a server says of those there.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};

/// Read at once.
const CHUNK: usize = 256 * 1024;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hash([u8; SHA256_OUTPUT_LEN]);

impl Hash {
    /// Of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::finished(digest(&SHA256, bytes).as_ref())
    }

    /// Of the first `bytes` of a file, or of all that is in it if that is less.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn of_beginning(file: &File, bytes: u64) -> io::Result<Self> {
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; CHUNK];
        let mut file = file.take(bytes);
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => return Ok(Self::finished(context.finish().as_ref())),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            context.update(buffer.get(..read).unwrap_or_default());
        }
    }

    /// Of 64 hexadecimal digits.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = digits else { return None };
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
        }
        Some(Self(hash))
    }

    fn finished(bytes: &[u8]) -> Self {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        for (place, byte) in hash.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Self(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// FIPS 180-4's example.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn written_and_read() {
        assert_eq!(Hash::of(b"abc").to_string(), ABC);
        assert_eq!(Hash::parse(ABC.as_bytes()), Some(Hash::of(b"abc")));
        assert_eq!(Hash::parse(ABC.to_uppercase().as_bytes()), Some(Hash::of(b"abc")));
        assert_eq!(Hash::parse(&ABC.as_bytes()[1..]), None);
        assert_eq!(Hash::parse(ABC.replace('b', "g").as_bytes()), None);
    }

    #[test]
    fn of_the_beginning_of_a_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abcdef").unwrap();
        let hash = |bytes| {
            io::Seek::rewind(&mut &file).unwrap();
            Hash::of_beginning(&file, bytes).unwrap()
        };
        assert_eq!(hash(3), Hash::of(b"abc"));
        assert_eq!(hash(0), Hash::of(b""));
        assert_eq!(hash(100), Hash::of(b"abcdef"));
    }
}
