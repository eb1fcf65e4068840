//! The line editor at the prompt. Has the terminal only while it is asked for a line.

use std::borrow::Cow;
use std::env;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use reedline::{
    FileBackedHistory, Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus, Reedline,
    Signal,
};

use super::history;
use super::lines::Line;
use crate::cli::report;

/// Lines that are remembered.
const REMEMBERED: usize = 10_000;

/// A line editor with its history.
pub(crate) struct Editor(Reedline);

impl Editor {
    /// One that gives up the line it is asked for when `stop` is set.
    pub(crate) fn new(stop: Arc<AtomicBool>) -> Self {
        let editor = Reedline::create()
            .use_bracketed_paste(true)
            .with_ansi_colors(env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
            .with_history_exclusion_prefix(Some(" ".to_owned()))
            .with_break_signal(stop);
        Self(match open_history() {
            Some(history) => editor.with_history(Box::new(history)),
            None => editor,
        })
    }

    /// Asks for a line.
    pub(crate) fn read_line(&mut self, prompt: &str) -> Line {
        let signal = self.0.read_line(&PlainPrompt(prompt));
        match signal {
            Ok(Signal::Success(text)) => {
                // A history that cannot be written now may be the next time; it is no reason to lose the line.
                self.0.sync_history().ok();
                Line::Text(text.into_bytes())
            }
            Ok(Signal::CtrlC) => Line::Cleared,
            Ok(Signal::ExternalBreak(_)) => {
                // What is said next is not to stand behind the prompt.
                report::print("");
                Line::End
            }
            Ok(_) => Line::End,
            Err(error) => Line::Failed(io::Error::other(error)),
        }
    }
}

/// Without a place for it, lines are remembered until the end only.
fn open_history() -> Option<FileBackedHistory> {
    let path = history::path()?;
    history::prepare(&path).ok()?;
    FileBackedHistory::with_file(REMEMBERED, path).ok()
}

/// The text to the left of the line, and nothing else.
struct PlainPrompt<'a>(&'a str);

impl Prompt for PlainPrompt<'_> {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.0)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "failing ",
        };
        Cow::Owned(format!("({failing}reverse-search: {}) ", search.term))
    }
}
