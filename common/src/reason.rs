//! The operating system's words for its errors, as they stand in a sentence of ours.

use std::io;

/// What `error` says, without its number, in lower case.
pub fn system_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    let text = text.rsplit_once(" (os error ").map_or(text, |(reason, _)| reason);
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_texts_lose_their_numbers() {
        let text = |number: i32| system_reason(&io::Error::from_raw_os_error(number));
        assert_eq!(text(111), "connection refused");
        assert_eq!(text(2), "no such file or directory");
        assert_eq!(system_reason(&io::Error::from(io::ErrorKind::TimedOut)), "timed out");
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        assert_eq!(system_reason(&lookup), "name or service not known");
    }
}
