//! Lengths of time as people write them: `30s`, `500ms`, `2m`, `1h`, `1.5s`; a bare number is seconds.

use std::fmt::Display;
use std::time::Duration;

use thiserror::Error;

/// Units and their milliseconds; the ones that end in another's letters first.
const UNITS: [(&str, f64); 5] = [("ms", 1.0), ("s", 1e3), ("m", 60e3), ("h", 3600e3), ("", 1e3)];

/// Not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Not a number and a unit.
    #[error("write a number and a unit: 500ms, 30s, 2m, 1h")]
    Form,
    /// Zero, where it would mean the end before the beginning.
    #[error("a time limit must be more than 0")]
    Zero,
    /// More than any clock counts.
    #[error("too long")]
    TooLong,
}

/// Reads a length of time; fractions are rounded up to the millisecond.
///
/// # Errors
/// [`DurationError::Form`], [`DurationError::TooLong`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .ok_or(DurationError::Form)?;
    // What the standard library also takes for a number: signs, exponents, `inf`.
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| plain).ok_or(DurationError::Form)?;
    let milliseconds = (number * unit).ceil();
    // 2^53: beyond it a float no longer counts single milliseconds.
    if milliseconds > 9_007_199_254_740_992.0 {
        return Err(DurationError::TooLong);
    }
    Ok(Duration::from_millis(milliseconds as u64))
}

/// As [`parse`], for a limit, which cannot be 0.
///
/// # Errors
/// [`DurationError`].
pub fn parse_limit(text: &str) -> Result<Duration, DurationError> {
    Some(parse(text)?).filter(|limit| !limit.is_zero()).ok_or(DurationError::Zero)
}

/// The length of time as [`parse`] reads it, in the largest unit that needs no fraction; whole milliseconds are shown.
pub fn shown(time: Duration) -> impl Display {
    let ms = time.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let (name, unit) =
        units.into_iter().find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit)).unwrap_or(("s", 1000));
    format!("{}{name}", ms / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let ms = |text| parse(text).unwrap().as_millis();
        assert_eq!(ms("30s"), 30_000);
        assert_eq!(ms("500ms"), 500);
        assert_eq!(ms("2m"), 120_000);
        assert_eq!(ms("1h"), 3_600_000);
        assert_eq!(ms("7"), 7_000);
        assert_eq!(ms("1.5s"), 1_500);
        assert_eq!(ms("0.25"), 250);
        assert_eq!(ms(".5h"), 1_800_000);
        assert_eq!(ms("0.1ms"), 1);
        assert_eq!(ms("0"), 0);
    }

    #[test]
    fn what_is_shown_is_read_again() {
        for text in ["0s", "1ms", "1500ms", "90s", "2m", "1h", "24h"] {
            assert_eq!(shown(parse(text).unwrap()).to_string(), text);
        }
    }

    #[test]
    fn refusals() {
        for text in ["", "s", "-1", "+1", "1e3", "inf", "nan", "1d", "1 s", "1.2.3", ".", "1sm", "٣"] {
            assert_eq!(parse(text), Err(DurationError::Form), "{text:?}");
        }
        assert_eq!(parse("99999999999999h"), Err(DurationError::TooLong));
        assert_eq!(parse_limit("0s"), Err(DurationError::Zero));
    }
}
