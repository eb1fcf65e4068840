//! Bytes as people write them down.

/// The bytes that `text` spells in hexadecimal. White space does not count, nor does anything from `#` to the end
/// of its line.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    assert!(digits.is_ascii() && digits.len().is_multiple_of(2), "not pairs of hexadecimal digits: {text}");
    let pairs = digits.as_bytes().chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}
