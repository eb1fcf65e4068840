//! What the editor's thread shares with the loop: what the prompt says, and lines that go above it. Neither waits for
//! the other.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use reedline::{ExternalPrinter, Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus};

use super::above;
use super::prompt::{PromptData, Style, render};
use crate::config::PromptSettings;

/// Most lines that wait to be written above the prompt; of more it is said how many were left out.
const ABOVE: usize = 256;

/// What both sides know of the prompt.
pub(crate) struct Shared {
    data: Mutex<PromptData>,
    looks: Mutex<PromptSettings>,
    /// Has the editor draw the prompt again.
    repaint: OnceLock<Box<dyn Fn() + Send + Sync>>,
    above: SyncSender<String>,
    /// Lines for which there was no room.
    left_out: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("data", &self.data).field("looks", &self.looks).finish_non_exhaustive()
    }
}

impl Shared {
    /// A prompt that knows nothing yet, and what the editor takes lines from that go above it.
    pub(crate) fn new(settings: PromptSettings) -> (Self, ExternalPrinter<String>) {
        let printer = ExternalPrinter::new(ABOVE);
        let shared = Self {
            data: Mutex::default(),
            looks: Mutex::new(settings),
            repaint: OnceLock::new(),
            above: printer.sender(),
            left_out: AtomicUsize::new(0),
        };
        (shared, printer)
    }

    /// What the terminal may get.
    pub(crate) fn style(&self) -> Style {
        Style::choose(self.lock_looks().colour)
    }

    /// How the prompt is to look.
    pub(crate) fn looks(&self) -> PromptSettings {
        self.lock_looks().clone()
    }

    /// Changes that; the next prompt shows it.
    pub(crate) fn change_looks(&self, change: impl FnOnce(&mut PromptSettings)) {
        change(&mut self.lock_looks());
    }

    /// `repaint` is how the editor draws the prompt again.
    pub(super) fn on_change(&self, repaint: impl Fn() + Send + Sync + 'static) {
        // There is one editor.
        self.repaint.set(Box::new(repaint)).ok();
    }

    /// Changes what the prompt says, and shows it if that is another.
    pub(crate) fn change(&self, change: impl FnOnce(&mut PromptData)) {
        let mut data = self.lock();
        let before = data.clone();
        change(&mut data);
        let is_news = *data != before;
        drop(data);
        if let Some(repaint) = self.repaint.get().filter(|_| is_news) {
            repaint();
        }
    }

    /// The prompt as it is now.
    pub(crate) fn prompt(&self) -> String {
        render(&self.lock(), &self.looks().format, &self.style())
    }

    /// Has a line written above the prompt, now or when there is one the next time. Does not wait: if there are too
    /// many, the next one says how many were left out. What is written.
    pub(crate) fn print_above(&self, line: &str) -> String {
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        let mut line = above::harmless(line, self.style().colour);
        if left_out > 0 {
            line = format!("({left_out} lines are left out)\n{line}");
        }
        if let Err(TrySendError::Full(_)) = self.above.try_send(line.clone()) {
            self.left_out.fetch_add(left_out + 1, Ordering::Relaxed);
        }
        line
    }

    fn lock_looks(&self) -> MutexGuard<'_, PromptSettings> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, PromptData> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prompt for Shared {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Owned(self.prompt())
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

    fn get_prompt_color(&self) -> reedline::Color {
        reedline::Color::Default
    }

    fn get_indicator_color(&self) -> reedline::Color {
        reedline::Color::Default
    }

    fn get_prompt_multiline_color(&self) -> reedline::Color {
        reedline::Color::Default
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn a_change_is_shown_at_once_and_no_change_is_not() {
        let (shared, _printer) = Shared::new(PromptSettings::default());
        let shown = Arc::new(AtomicBool::new(false));
        let repaint = Arc::clone(&shown);
        shared.on_change(move || repaint.store(true, Ordering::Relaxed));
        shared.change(|data| data.is_down = true);
        assert!(shown.swap(false, Ordering::Relaxed));
        shared.change(|data| data.is_down = true);
        assert!(!shown.load(Ordering::Relaxed));
        assert!(shared.prompt().contains("line down"));
    }

    #[test]
    fn lines_above_never_wait() {
        let (shared, printer) = Shared::new(PromptSettings::default());
        for number in 0..ABOVE + 7 {
            shared.print_above(&format!("line {number}"));
        }
        for number in 0..ABOVE {
            assert_eq!(printer.get_line(), Some(format!("line {number}")));
        }
        shared.print_above("after");
        assert_eq!(printer.get_line().unwrap(), "(7 lines are left out)\nafter");
        shared.print_above("more");
        assert_eq!(printer.get_line().unwrap(), "more");
    }
}
