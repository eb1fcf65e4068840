//! Tab at the prompt: asks for what could stand there, and waits for no more than it takes to type on.

use std::sync::Arc;
use std::time::Duration;

use common::escape::escape;
use reedline::{Completer, CompletionResult, Partial, Span, Suggestion};

use crate::repl::completion::{Answer, Answers, Candidate, Source, Wanted};

/// How long an answer is waited for, unless a key comes before. One that is late serves the next Tab.
const WAIT: Duration = Duration::from_millis(150);

/// What the editor asks for completions. The library could be told that an answer is on its way, but then the keys that
/// move the cursor would go to a menu that nobody sees yet.
pub(super) struct Remote(pub(super) Arc<Answers>);

impl Completer for Remote {
    fn complete(&mut self, line: &str, cursor: usize) -> CompletionResult {
        let Some(wanted) = Wanted::at(line, cursor) else { return nothing() };
        let asked = match &wanted.source {
            Source::Known(answer) => return result(&wanted, answer, line, cursor),
            Source::Asked(question) => self.0.answer(question, WAIT),
        };
        asked.map_or_else(nothing, |answer| result(&wanted, &answer, line, cursor))
    }
}

fn nothing() -> CompletionResult {
    CompletionResult::fresh(Vec::new())
}

fn result(wanted: &Wanted, answer: &Answer, line: &str, cursor: usize) -> CompletionResult {
    let span = Span { start: wanted.start, end: cursor };
    let suggestion = |candidate: Candidate| Suggestion {
        display_override: Some(escape(&candidate.name).into_owned()),
        value: candidate.text,
        span,
        append_whitespace: candidate.is_whole,
        ..Suggestion::default()
    };
    let suggestions: Vec<_> = wanted.candidates(answer).into_iter().map(suggestion).collect();
    // Without one the editor would look for one itself, which knows no quotes.
    let insert = wanted.common(answer).or_else(|| Some(line.get(span.start..span.end)?.to_owned()));
    let partial = insert.map(|insert| Partial { span, insert });
    CompletionResult::fresh(suggestions).with_partial(partial)
}
