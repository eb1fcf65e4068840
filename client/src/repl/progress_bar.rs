//! How far a transfer has come, on the terminal: one line, which makes way for whatever else is said. Without colours, so there is
//! nothing for `NO_COLOR` to turn off; and none at all where the line cannot be drawn again.

use std::cell::RefCell;
use std::env;
use std::io;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::cli::screen;
use crate::{Phase, Progress};

/// Drawn so often in a second.
const RATE: u8 = 10;

/// Characters of a file's name: what matters is at its end.
const NAME: usize = 32;

/// Columns that the bar's line is made for; the screen cuts it.
const COLUMNS: u16 = 200;

const COPYING: &str =
    "{msg}  {binary_bytes}/{binary_total_bytes}  [{bar:20}]  {binary_bytes_per_sec}  {eta} left";
const NOT_COPYING: &str = "{msg}";

/// A line on the terminal, if there is one for it.
pub(super) struct Bar(Option<RefCell<Shown>>);

struct Shown {
    bar: ProgressBar,
    last: Option<Progress>,
}

impl Bar {
    pub(super) fn new() -> Self {
        let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        if is_dumb || !screen::is_there() {
            return Self(None);
        }
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(StatusLine::default()), RATE);
        Self(Some(RefCell::new(Shown { bar: ProgressBar::with_draw_target(None, target), last: None })))
    }

    /// Shows this, if it is time to draw again.
    pub(super) fn show(&self, progress: &Progress) {
        if let Some(shown) = &self.0 {
            shown.borrow_mut().show(progress);
        }
    }

    /// Takes it away.
    pub(super) fn clear(&self) {
        if let Some(shown) = &self.0 {
            shown.borrow().bar.finish_and_clear();
            screen::make_way();
        }
    }
}

impl Shown {
    fn show(&mut self, progress: &Progress) {
        let last = self.last.replace(progress.clone());
        let is_same = |of: fn(&Progress) -> (Phase, u64, u64)| last.as_ref().map(of) == Some(of(progress));
        if !is_same(|progress| (progress.phase, progress.began, progress.total)) {
            let template = if progress.phase == Phase::Copying { COPYING } else { NOT_COPYING };
            // It is a good one.
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style.progress_chars("=> "));
            }
            self.bar.set_length(progress.total);
            self.bar.set_position(progress.done);
            // What was there before says nothing about the speed.
            self.bar.reset_eta();
        }
        if last.is_none_or(|last| last.file != progress.file || last.phase != progress.phase) {
            self.bar.set_message(message(progress));
        }
        self.bar.set_position(progress.done);
    }
}

fn message(progress: &Progress) -> String {
    let name = String::from_utf8_lossy(&progress.file);
    let name = name.rsplit('/').next().unwrap_or_default();
    let length = name.chars().count();
    let end: String = name.chars().skip(length.saturating_sub(NAME)).collect();
    match progress.phase {
        Phase::Looking => "looking what is there".to_owned(),
        Phase::Checking => "comparing hashes".to_owned(),
        Phase::Copying if length > NAME => format!("…{end}"),
        Phase::Copying => end,
    }
}

/// The terminal as the library knows one: lines are gathered, and shown where the other status lines are.
#[derive(Debug, Default)]
struct StatusLine(Mutex<String>);

impl StatusLine {
    fn change(&self, change: impl FnOnce(&mut String)) -> io::Result<()> {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }
}

impl TermLike for StatusLine {
    fn width(&self) -> u16 {
        COLUMNS
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.change(|line| line.push_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.change(String::clear)
    }

    fn flush(&self) -> io::Result<()> {
        self.change(|line| match std::mem::take(line).trim() {
            "" => screen::make_way(),
            text => screen::show(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_at_its_beginning() {
        let at =
            |file: &str, phase| message(&Progress { phase, file: file.into(), done: 0, total: 0, began: 0 });
        assert_eq!(at("some/where/name", Phase::Copying), "name");
        assert_eq!(at(&"x".repeat(40), Phase::Copying), format!("…{}", "x".repeat(32)));
        assert_eq!(at("name", Phase::Checking), "comparing hashes");
    }

    #[test]
    fn the_templates_are_good() {
        assert!(
            ProgressStyle::with_template(COPYING).is_ok()
                && ProgressStyle::with_template(NOT_COPYING).is_ok()
        );
    }
}
