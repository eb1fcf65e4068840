//! The line editor at the prompt. Has the terminal only while it is asked for a line, and nothing that it does takes
//! the network.
//!
//! - `prompt`: what stands to the left of the line; `shared`: how the loop changes it while somebody types
//! - `reading`: whether a line is all, its colours, and suggestions
//! - `completer` and `menu`: what Tab offers
//! - `above`: lines from the server that appear above it
//! - `plain`: what a terminal gets that cannot draw

mod above;
mod completer;
mod menu;
mod plain;
mod prompt;
mod reading;
mod shared;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::{io, mem};

use reedline::{
    EditCommand, Emacs, ExternalPrinter, KeyCode, KeyModifiers, Keybindings, Reedline, ReedlineEvent,
    ReedlineMenu, Signal, default_emacs_keybindings,
};

pub(crate) use self::prompt::PromptData;
pub(crate) use self::shared::Shared;

use self::completer::Remote;
use self::menu::Candidates;
use self::plain::Plain;
use self::prompt::Style;
use self::reading::{Colours, Completion, Suggestions};
use super::completion::Answers;
use super::history::Remembered;
use super::lines::Line;
use crate::cli::report;

/// What asks for lines.
pub(crate) enum Editor {
    /// A line editor with its history.
    Full(Box<Full>),
    /// What a terminal that cannot draw has.
    Plain(Plain),
}

/// The line editor, and what it draws with.
pub(crate) struct Full {
    editor: Reedline,
    style: Style,
    shared: Arc<Shared>,
}

impl Editor {
    /// One with the lines that were typed for `host`, that gives up the line it is asked for when `stop` is set.
    pub(crate) fn new(
        host: &str,
        shared: Arc<Shared>,
        answers: Arc<Answers>,
        printer: ExternalPrinter<String>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let style = shared.style();
        if style.dumb {
            return Self::Plain(Plain { shared, printer, interrupted: stop });
        }
        let mut editor = Reedline::create()
            .use_bracketed_paste(true)
            .with_history(Box::new(Remembered::of_host(host)))
            .with_history_exclusion_prefix(Some(" ".to_owned()))
            .with_validator(Box::new(Completion))
            .with_hinter(Box::new(Suggestions::default()))
            .with_completer(Box::new(Remote(answers)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_edit_mode(Box::new(Emacs::new(keys())))
            .with_external_printer(printer)
            .with_break_signal(stop);
        let repaint = editor.repaint_signal();
        shared.on_change(move || repaint.request_repaint());
        Self::Full(Box::new(Full { editor: drawn(editor, style), style, shared }))
    }

    /// Lines are for `host` from now on, and those that were typed for it are remembered.
    pub(crate) fn turn_to(&mut self, host: &str) {
        if let Self::Full(full) = self {
            full.change(|editor| editor.with_history(Box::new(Remembered::of_host(host))));
        }
    }

    /// Asks for a line that begins with `begun`.
    pub(crate) fn read_line(&mut self, begun: &str) -> Line {
        match self {
            Self::Full(full) => full.read_line(begun),
            Self::Plain(plain) => plain.read_line(begun),
        }
    }
}

impl Full {
    fn read_line(&mut self, begun: &str) -> Line {
        self.restyle();
        let Self { editor, shared, .. } = self;
        if !begun.is_empty() {
            editor.run_edit_commands(&[EditCommand::InsertString(begun.to_owned())]);
        }
        match editor.read_line(&**shared) {
            Ok(Signal::Success(text)) => Line::Text(text.into_bytes()),
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

    /// Draws as the settings have it now.
    fn restyle(&mut self) {
        let style = self.shared.style();
        if style != self.style {
            self.change(|editor| drawn(editor, style));
            self.style = style;
        }
    }

    /// Changes the editor, which the library takes by value.
    fn change(&mut self, change: impl FnOnce(Reedline) -> Reedline) {
        let editor = mem::replace(&mut self.editor, Reedline::create());
        self.editor = change(editor);
    }
}

/// `editor`, that draws so.
fn drawn(editor: Reedline, style: Style) -> Reedline {
    let menu = ReedlineMenu::EngineCompleter(Box::new(Candidates::new(style)));
    let editor = editor.with_ansi_colors(style.colour).with_highlighter(Box::new(Colours(style)));
    editor.clear_menus().with_menu(menu)
}

/// The usual keys, and Tab.
fn keys() -> Keybindings {
    let mut keys = default_emacs_keybindings();
    let complete = vec![ReedlineEvent::Menu(menu::NAME.to_owned()), ReedlineEvent::MenuNext];
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    keys
}
