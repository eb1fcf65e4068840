//! Amounts of memory as people write them: `2G`, `512MiB`, `1.5GB`; a bare number is bytes.

use thiserror::Error;

/// Units and their bytes, as coreutils have them; the ones that end in another's letters first.
const UNITS: [(&str, u64); 14] = [
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
    ("B", 1),
    ("", 1),
];

/// Not an amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum SizeError {
    #[error("write a number and a unit: 512M, 2G, 1.5GiB")]
    Form,
    #[error("write more than 0")]
    Zero,
    #[error("no machine has so much")]
    TooLarge,
}

/// Reads an amount, in bytes, rounded up; upper and lower case are the same.
///
/// # Errors
/// [`SizeError`].
pub(super) fn parse(text: &str) -> Result<u64, SizeError> {
    let upper = text.to_ascii_uppercase();
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((upper.strip_suffix(name)?, *unit)))
        .ok_or(SizeError::Form)?;
    // What the standard library also takes for a number: signs, exponents, `inf`.
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| plain).ok_or(SizeError::Form)?;
    let bytes = (number * unit as f64).ceil();
    // 2^53: beyond it a float no longer counts single bytes.
    match bytes {
        bytes if bytes > 9_007_199_254_740_992.0 => Err(SizeError::TooLarge),
        bytes if bytes < 1.0 => Err(SizeError::Zero),
        bytes => Ok(bytes as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, bytes) in [
            ("1", 1),
            ("17B", 17),
            ("2K", 2048),
            ("2k", 2048),
            ("2KiB", 2048),
            ("2kB", 2000),
            ("512M", 512 << 20),
            ("512MiB", 512 << 20),
            ("2G", 2 << 30),
            ("1.5g", 3 << 29),
            ("1GB", 1_000_000_000),
            ("1T", 1 << 40),
            ("0.5B", 1),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn refusals() {
        for text in ["", "G", "-1G", "+1G", "1e3", "inf", "nan", "1 G", "2GG", "2X", "1.2.3M", "2iB"] {
            assert_eq!(parse(text), Err(SizeError::Form), "{text:?}");
        }
        assert_eq!(parse("0"), Err(SizeError::Zero));
        assert_eq!(parse("0.0G"), Err(SizeError::Zero));
        assert_eq!(parse("99999999T"), Err(SizeError::TooLarge));
    }
}
