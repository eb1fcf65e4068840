//! The words of a command that takes paths, behind `-f` if what is there may be replaced. Paths stay as they are written.

use super::Word;

/// Whether there is an `-f`, and the paths; `None` if there is another option. A path that begins with a dash comes behind `--`.
pub(super) fn take_force(words: &[Word]) -> Option<(bool, &[Word])> {
    let (mut force, mut rest) = (false, words);
    while let [first, more @ ..] = rest {
        match first.as_slice() {
            b"-f" => force = true,
            b"--" => return Some((force, more)),
            [b'-', _, ..] => return None,
            _ => break,
        }
        rest = more;
    }
    Some((force, rest))
}
