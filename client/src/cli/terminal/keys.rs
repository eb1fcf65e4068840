//! The keys that are for this program and not for the command, where a terminal is raw and every key comes at once.
//!
//! Pure: what was typed in, what is to be done out. Knows no terminal and no clock.
//!
//! ```text
//!            CR, LF               escape key
//!  Inside ───────────► LineStart ────────────► Escaped ──►  .  leave         ?  help
//!    ▲ ▲                 │   ▲                   │ │        ^Z suspend       (stays LineStart)
//!    │ └── another key ──┘   └── CR, LF: both go ┘ │        escape key: goes once
//!    └──────────────── another key: both go ───────┘
//!
//!  before all that: what may be the beginning of the detach keys is held back. Whole: detach. Not, or late: as if it were typed now.
//!  Leave and detach lead to Gone, where nothing goes any more.
//! ```

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use thiserror::Error;

use crate::cli::detach_keys::{DetachKeys, key};

/// Ctrl-Z.
const SUSPEND: u8 = 0x1a;

/// The key at the beginning of a line that makes the next one an order to this program; none if no key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EscapeKey(Option<u8>);

/// As a person names it.
impl Display for EscapeKey {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => formatter.write_str("none"),
            Some(byte @ 0..0x20) => write!(formatter, "^{}", char::from(byte | 0x40)),
            Some(byte) => write!(formatter, "{}", char::from(byte)),
        }
    }
}

impl EscapeKey {
    /// What it does, for people, a line each.
    pub(crate) fn help(self) -> [String; 5] {
        [
            "behind the end of a line:".to_owned(),
            format!("  {self}.   leave; the job is ended, unless it was agreed that it goes on"),
            format!("  {self}^Z  stop this client"),
            format!("  {self}{self}   one {self} for the command"),
            format!("  {self}?   this"),
        ]
    }
}

/// Not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("write a character, ctrl- and one of a-z @ [ \\ ] ^ _, or none: ~, ctrl-], none")]
pub(crate) struct EscapeKeyError;

/// What is to be done about what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// These bytes go to the command.
    Send(Vec<u8>),
    /// The user leaves, and the job fares as it does when this program goes away.
    Leave,
    /// The user leaves the job to the server.
    Detach,
    /// This program is to be stopped.
    Suspend,
    /// The user wants to know the keys.
    Help,
}

/// What is known of the keys that were typed.
#[derive(Debug)]
pub(crate) struct Keys {
    escape: EscapeKey,
    detach: Vec<u8>,
    /// The beginning of `detach`, typed and not passed on.
    held: Vec<u8>,
    place: Place,
}

/// Where in a line the next key will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    LineStart,
    Inside,
    /// Behind the escape key, which was not passed on.
    Escaped,
    /// The user has left.
    Gone,
}

impl Default for EscapeKey {
    fn default() -> Self {
        Self(Some(b'~'))
    }
}

impl FromStr for EscapeKey {
    type Err = EscapeKeyError;

    fn from_str(text: &str) -> Result<Self, EscapeKeyError> {
        match text {
            "none" => Ok(Self(None)),
            _ => key(text).map(|key| Self(Some(key))).ok_or(EscapeKeyError),
        }
    }
}

impl Keys {
    /// At the beginning of a line. An empty sequence detaches nobody.
    pub(crate) fn new(escape: EscapeKey, detach: &DetachKeys) -> Self {
        Self { escape, detach: detach.bytes().to_vec(), held: Vec::new(), place: Place::LineStart }
    }

    /// What `bytes` come to, in their order.
    pub(crate) fn typed(&mut self, bytes: &[u8]) -> Vec<Act> {
        let mut acts = Vec::new();
        for byte in bytes {
            self.held.push(*byte);
            while !self.held.is_empty() && !self.detach.starts_with(&self.held) {
                let first = self.held.remove(0);
                self.pass(first, &mut acts);
            }
            if !self.held.is_empty() && self.held == self.detach {
                self.held.clear();
                if self.place != Place::Gone {
                    acts.push(Act::Detach);
                }
                self.place = Place::Gone;
            }
        }
        acts
    }

    /// Whether something is held back that goes, by [`Keys::late`], if no other key comes soon.
    pub(crate) fn waits(&self) -> bool {
        !self.held.is_empty()
    }

    /// What is held back was no beginning of the detach keys.
    pub(crate) fn late(&mut self) -> Vec<Act> {
        let mut acts = Vec::new();
        for byte in std::mem::take(&mut self.held) {
            self.pass(byte, &mut acts);
        }
        acts
    }

    /// A key that does not belong to the detach keys.
    fn pass(&mut self, byte: u8, acts: &mut Vec<Act>) {
        let is_escape = self.escape.0 == Some(byte);
        match self.place {
            Place::Gone => {}
            Place::LineStart if is_escape => self.place = Place::Escaped,
            Place::LineStart | Place::Inside => self.send(&[byte], acts),
            Place::Escaped => match byte {
                b'.' => {
                    acts.push(Act::Leave);
                    self.place = Place::Gone;
                }
                b'?' => self.order(Act::Help, acts),
                SUSPEND => self.order(Act::Suspend, acts),
                _ if is_escape => self.send(&[byte], acts),
                _ => match self.escape.0 {
                    Some(escape) => self.send(&[escape, byte], acts),
                    None => self.send(&[byte], acts),
                },
            },
        }
    }

    /// After an order the line is as empty as it was before.
    fn order(&mut self, act: Act, acts: &mut Vec<Act>) {
        acts.push(act);
        self.place = Place::LineStart;
    }

    fn send(&mut self, bytes: &[u8], acts: &mut Vec<Act>) {
        match acts.last_mut() {
            Some(Act::Send(sent)) => sent.extend(bytes),
            _ => acts.push(Act::Send(bytes.to_vec())),
        }
        let ends_line = matches!(bytes.last(), Some(b'\r' | b'\n'));
        self.place = if ends_line { Place::LineStart } else { Place::Inside };
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn usual() -> Keys {
        Keys::new(EscapeKey::default(), &DetachKeys::default())
    }

    fn send(text: &str) -> Act {
        Act::Send(text.as_bytes().to_vec())
    }

    /// All that goes to the command.
    fn sent(acts: impl IntoIterator<Item = Act>) -> Vec<u8> {
        let sent = |act| match act {
            Act::Send(bytes) => bytes,
            _ => Vec::new(),
        };
        acts.into_iter().flat_map(sent).collect()
    }

    /// The same acts, with what goes to the command in one piece where nothing is between.
    fn joined(acts: Vec<Act>) -> Vec<Act> {
        let mut joined: Vec<Act> = Vec::new();
        for act in acts {
            match (joined.last_mut(), act) {
                (Some(Act::Send(before)), Act::Send(bytes)) => before.extend(bytes),
                (_, act) => joined.push(act),
            }
        }
        joined
    }

    #[test]
    fn escape_keys_count_at_the_beginning_of_a_line() {
        for (typed, acts) in [
            ("~.", vec![Act::Leave]),
            ("~?", vec![Act::Help]),
            ("~\x1a", vec![Act::Suspend]),
            ("ls\r~.", vec![send("ls\r"), Act::Leave]),
            ("ls\n~?~?", vec![send("ls\n"), Act::Help, Act::Help]),
            ("~?ls~.", vec![Act::Help, send("ls~.")]),
            ("a~.", vec![send("a~.")]),
            ("~~.", vec![send("~.")]),
            ("~~~.", vec![send("~~.")]),
            ("~a~.", vec![send("~a~.")]),
            ("~\r~?", vec![send("~\r"), Act::Help]),
            ("~.rest", vec![Act::Leave]),
            ("~", vec![]),
        ] {
            assert_eq!(usual().typed(typed.as_bytes()), acts, "{typed:?}");
        }
    }

    #[test]
    fn detach_keys_count_everywhere() {
        assert_eq!(usual().typed(b"\x1cd"), [Act::Detach]);
        assert_eq!(usual().typed(b"ls\x1cdrest"), [send("ls"), Act::Detach]);
        assert_eq!(usual().typed(b"~\x1cd"), [Act::Detach]);
        assert_eq!(usual().typed(b"\x1c\x1cd"), [send("\x1c"), Act::Detach]);
        assert_eq!(usual().typed(b"\x1cx"), [send("\x1cx")]);
    }

    #[test]
    fn nothing_goes_once_the_user_has_left() {
        for keys in ["~.", "\x1cd"] {
            let mut left = usual();
            left.typed(keys.as_bytes());
            assert_eq!(left.typed(b"rm\r~.\x1cd\x1c"), []);
            assert_eq!(left.late(), []);
        }
    }

    #[test]
    fn what_might_have_been_the_detach_keys_goes_late() {
        let mut keys = usual();
        assert_eq!(keys.typed(b"a\x1c"), [send("a")]);
        assert!(keys.waits());
        assert_eq!(keys.late(), [send("\x1c")]);
        assert!(!keys.waits());
        assert_eq!(keys.typed(b"d"), [send("d")]);
        assert_eq!(keys.late(), []);
    }

    #[test]
    fn other_keys_and_none() {
        let mut keys = Keys::new("ctrl-]".parse().unwrap(), &"".parse().unwrap());
        assert_eq!(keys.typed(b"~.\r\x1cd\r\x1d."), [send("~.\r\x1cd\r"), Act::Leave]);
        let mut keys = Keys::new("none".parse().unwrap(), &"ctrl-p,ctrl-p,q".parse().unwrap());
        assert_eq!(keys.typed(b"~.\r\x10\x10\x10q"), [send("~.\r\x10"), Act::Detach]);
        for wrong in ["", "ab", "ctrl-", "None", "é"] {
            assert_eq!(wrong.parse::<EscapeKey>(), Err(EscapeKeyError), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn without_such_keys_all_goes_as_it_came(pieces in vec(vec("[^~\x1c]", 0..8), 0..8)) {
            let mut keys = usual();
            let pieces: Vec<String> = pieces.iter().map(|piece| piece.concat()).collect();
            let acts = pieces.iter().flat_map(|piece| keys.typed(piece.as_bytes()));
            prop_assert_eq!(sent(acts), pieces.concat().into_bytes());
            prop_assert!(!keys.waits());
        }

        #[test]
        fn how_it_is_cut_makes_no_difference(text in "[~.?\x1a\x1cd\r\na]{0,24}", at in 0..25_usize) {
            let (first, second) = text.as_bytes().split_at(at.min(text.len()));
            let mut keys = usual();
            let cut = [keys.typed(first), keys.typed(second)].concat();
            prop_assert_eq!(joined(cut), usual().typed(text.as_bytes()));
        }

        #[test]
        fn nothing_is_lost_that_was_held_back(text in "[pqa]{0,24}", late in vec(any::<bool>(), 24)) {
            let mut keys = Keys::new("none".parse().unwrap(), &"p,p,q".parse().unwrap());
            let mut acts = Vec::new();
            for (byte, late) in text.bytes().zip(late) {
                acts.extend(keys.typed(&[byte]));
                if late {
                    acts.extend(keys.late());
                }
            }
            acts.extend(keys.late());
            let whole = if acts.contains(&Act::Detach) { text.find("ppq").unwrap() } else { text.len() };
            let sent = sent(acts);
            prop_assert!(sent.len() >= whole);
            prop_assert!(text.as_bytes().starts_with(&sent));
        }
    }
}
