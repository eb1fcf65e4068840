//! What `:put` and `:get` are asked for.

use super::paths::take_force;
use super::{Builtin, BuiltinError, Word};

/// In which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `:put`, to the server.
    Put,
    /// `:get`, from the server.
    Get,
}

/// A copy, as it is asked for. Paths are as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) way: Way,
    /// Whether what is in the way is replaced.
    pub(crate) force: bool,
    /// What is copied.
    pub(crate) from: Vec<u8>,
    /// Where to, if that is said.
    pub(crate) to: Option<Vec<u8>>,
}

/// What is said of both.
pub(super) const DETAILS: &str = "\
A directory is copied with all that is in it, links as links; a target that is a directory takes it inside.
Nothing that is there is replaced without -f; with it, a directory is filled up, and its files replaced.
A copy gets its name when it is whole and its SHA-256 is the original's; until then it is kept beside
it as .NAME.telex-part. Ctrl-C stops: the same command goes on from there.
A name that begins with a dash comes behind --.
";

/// Options and one or two paths.
pub(super) fn parse(way: Way, name: &'static str, words: &[Word]) -> Result<Builtin, BuiltinError> {
    let (force, rest) = take_force(words).ok_or(BuiltinError::Arguments(name))?;
    match rest {
        [from] => Ok(Builtin::Copy(Copy { way, force, from: from.clone(), to: None })),
        [from, to] => Ok(Builtin::Copy(Copy { way, force, from: from.clone(), to: Some(to.clone()) })),
        _ => Err(BuiltinError::Arguments(name)),
    }
}
