//! Output as JSON strings: text where it is UTF-8, base64 where it is not.

use std::mem;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// A piece of a stream.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Chunk {
    offset: u64,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Text(String),
    Base64(String),
}

/// Cuts a stream into chunks, so that a character that arrives in two parts stays whole.
#[derive(Debug, Default)]
pub(crate) struct Chunker {
    offset: u64,
    /// The beginning of a character at the end of what came: at most 3 bytes.
    held: Vec<u8>,
}

impl Chunker {
    /// Takes the next bytes; what can be told of them, if anything.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<Chunk> {
        let mut all = mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&all) {
            // No length of an error means that more bytes could make it whole.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => all.len(),
        };
        self.held = all.split_off(whole);
        self.chunk(all)
    }

    /// What comes next begins there; what was held back until now, if something is left out between.
    pub(crate) fn go_on_at(&mut self, offset: u64) -> Option<Chunk> {
        if offset == self.offset + self.held.len() as u64 {
            return None;
        }
        let held = mem::take(&mut self.held);
        let chunk = self.chunk(held);
        self.offset = offset;
        chunk
    }

    /// What was held back, at the end of the stream.
    pub(crate) fn finish(mut self) -> Option<Chunk> {
        let held = mem::take(&mut self.held);
        self.chunk(held)
    }

    fn chunk(&mut self, bytes: Vec<u8>) -> Option<Chunk> {
        if bytes.is_empty() {
            return None;
        }
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        let content = match String::from_utf8(bytes) {
            Ok(text) => Content::Text(text),
            Err(error) => Content::Base64(STANDARD.encode(error.as_bytes())),
        };
        Some(Chunk { offset, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(offset: u64, text: &str) -> Option<Chunk> {
        Some(Chunk { offset, content: Content::Text(text.to_owned()) })
    }

    fn base64(offset: u64, bytes: &[u8]) -> Option<Chunk> {
        Some(Chunk { offset, content: Content::Base64(STANDARD.encode(bytes)) })
    }

    #[test]
    fn a_cut_character_is_joined() {
        let euro = "€".as_bytes();
        let mut chunker = Chunker::default();
        assert_eq!(chunker.push(&[b"ab", &euro[..1]].concat()), text(0, "ab"));
        assert_eq!(chunker.push(&euro[1..2]), None);
        assert_eq!(chunker.push(&[&euro[2..], b"c"].concat()), text(2, "€c"));
        assert_eq!(chunker.finish(), None);
    }

    #[test]
    fn an_end_inside_a_character_is_told() {
        let mut chunker = Chunker::default();
        assert_eq!(chunker.push(b"a\xf0\x9f\x98"), text(0, "a"));
        assert_eq!(chunker.finish(), base64(1, b"\xf0\x9f\x98"));
    }

    #[test]
    fn what_is_not_utf8_is_base64_as_a_whole() {
        let mut chunker = Chunker::default();
        assert_eq!(chunker.push(b"a\xffb"), base64(0, b"a\xffb"));
        assert_eq!(chunker.push(b"\xffb\xe2"), base64(3, b"\xffb\xe2"));
        assert_eq!(chunker.push(b"ok"), text(6, "ok"));
        // Held back as a possible beginning, which it turns out not to be.
        assert_eq!(chunker.push(b"\xe2"), None);
        assert_eq!(chunker.push(b"x"), base64(8, b"\xe2x"));
    }

    #[test]
    fn what_is_left_out_shows_in_the_offsets() {
        let mut chunker = Chunker::default();
        assert_eq!(chunker.go_on_at(7), None);
        assert_eq!(chunker.push(b"a\xf0"), text(7, "a"));
        assert_eq!(chunker.go_on_at(9), None);
        assert_eq!(chunker.go_on_at(20), base64(8, b"\xf0"));
        assert_eq!(chunker.push(b"b"), text(20, "b"));
    }

    #[test]
    fn every_cut_of_a_text_gives_the_text() {
        let all = "aé€😀z".as_bytes();
        for cut in 0..=all.len() {
            let mut chunker = Chunker::default();
            let parts = [chunker.push(&all[..cut]), chunker.push(&all[cut..]), chunker.finish()];
            let joined: String = parts
                .into_iter()
                .flatten()
                .map(|chunk| match chunk.content {
                    Content::Text(text) => text,
                    Content::Base64(_) => panic!("cut at {cut}"),
                })
                .collect();
            assert_eq!(joined.as_bytes(), all);
        }
    }
}
