//! Completion at the prompt: what could stand at the cursor, of what the server has and of our own commands.
//!
//! - `beginning`: what a word says so far; `wanted`: what is asked for there, and what is written instead; both pure
//! - `question`: what the server is asked, and its answers
//! - `answers`: what the editor's thread and the loop share; the editor waits no longer than it says
//! - `asking`: the loop's side: a short job that lists, and the names that only the session's shell knows
//!
//! Nothing that a server answers is believed to be more than a word: it is quoted, and shown escaped.

mod answers;
mod asking;
mod beginning;
mod question;
mod wanted;

pub(crate) use self::answers::Answers;
pub(crate) use self::asking::{Asking, Need, Place};
pub(crate) use self::question::{Answer, Question};
pub(crate) use self::wanted::{Candidate, Source, Wanted};
