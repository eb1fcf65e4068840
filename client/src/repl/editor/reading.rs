//! How the editor reads what is typed: whether more is wanted, what is what, and what could come. Looks nothing up.

use common::escape::is_unsafe;
use reedline::{Color, Highlighter, Hinter, History, SearchQuery, StyledText, ValidationResult, Validator};

use super::prompt::Style;
use crate::repl::syntax::{Completeness, PieceKind, is_complete, pieces};

/// Most bytes that are coloured while they are edited.
const COLOURED: usize = 64 * 1024;

/// Asks for another line while a command is open.
pub(super) struct Completion;

impl Validator for Completion {
    fn validate(&self, text: &str) -> ValidationResult {
        if wants_more(text.as_bytes()) { ValidationResult::Incomplete } else { ValidationResult::Complete }
    }
}

/// Whether Enter behind `text` asks for another line.
pub(super) fn wants_more(text: &[u8]) -> bool {
    match is_complete(text) {
        // Whoever presses Enter on an empty line wants the shell to have it, whatever it is. In a quoted text one empty
        // line means nothing yet.
        Completeness::Open(open) => empty_lines(text) < if open.is_text() { 2 } else { 1 },
        Completeness::Complete => false,
    }
}

/// How many empty lines `text` ends with.
fn empty_lines(text: &[u8]) -> usize {
    text.rsplit(|byte| *byte == b'\n').take_while(|line| line.trim_ascii().is_empty()).count()
}

/// Shows what is what by colours, and what a terminal would obey by marks of the same length.
pub(super) struct Colours(pub(super) Style);

impl Highlighter for Colours {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        let is_coloured = self.0.colour && line.len() <= COLOURED;
        let pieces = if is_coloured { pieces(line.as_bytes()) } else { Vec::new() };
        let mut done = 0;
        for piece in pieces {
            let (start, end) = (piece.range.start, piece.range.end);
            push(&mut styled, line, done, start, PieceKind::Argument);
            push(&mut styled, line, start, end, piece.kind);
            done = end;
        }
        push(&mut styled, line, done, line.len(), PieceKind::Argument);
        styled
    }
}

fn push(styled: &mut StyledText, line: &str, from: usize, to: usize, kind: PieceKind) {
    let Some(text) = line.get(from..to).filter(|text| !text.is_empty()) else { return };
    let style = match kind {
        PieceKind::Command => Color::Green.normal(),
        PieceKind::Option => Color::Cyan.normal(),
        PieceKind::String => Color::Yellow.normal(),
        PieceKind::Variable => Color::Purple.normal(),
        PieceKind::Operator => Color::Default.bold(),
        PieceKind::Reserved => Color::Blue.bold(),
        PieceKind::Comment => Color::DarkGray.normal(),
        PieceKind::Error => Color::Red.bold(),
        PieceKind::Argument | PieceKind::Word => Color::Default.normal(),
    };
    styled.push((style, shown(text)));
}

/// `text` as it may be shown: the editor counts bytes, so that a mark has as many as what it stands for.
fn shown(text: &str) -> String {
    if !text.contains(|c| is_unsafe(c) && c != '\n') {
        return text.to_owned();
    }
    let mark = |c: char| match c.len_utf8() {
        _ if c == '\n' || !is_unsafe(c) => c,
        _ if c == '\t' => ' ',
        1 => '?',
        2 => '¿',
        3 => '\u{fffd}',
        _ => '\u{1f6c7}',
    };
    text.chars().map(mark).collect()
}

/// Suggests the last line that began like this one.
#[derive(Default)]
pub(super) struct Suggestions {
    hint: String,
}

impl Hinter for Suggestions {
    fn handle(&mut self, line: &str, at: usize, history: &dyn History, _colour: bool, _cwd: &str) -> String {
        self.hint.clear();
        if line.trim().is_empty() || at < line.len() {
            return String::new();
        }
        let query = SearchQuery::last_with_prefix(line.to_owned(), history.session());
        let found = history.search(query).unwrap_or_default();
        let rest = found.first().and_then(|item| item.command_line.strip_prefix(line));
        self.hint.push_str(rest.unwrap_or_default());
        if self.hint.is_empty() { String::new() } else { format!("\x1b[2m{}\x1b[0m", shown(&self.hint)) }
    }

    fn complete_hint(&self) -> String {
        self.hint.clone()
    }

    fn next_hint_token(&self) -> String {
        let blanks = self.hint.len() - self.hint.trim_start().len();
        let word = self.hint.get(blanks..).unwrap_or_default();
        let end = blanks + word.find(char::is_whitespace).unwrap_or(word.len());
        self.hint.get(..end).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use reedline::HistoryItem;

    use super::*;
    use crate::repl::history::Remembered;

    fn wants_more(text: &str) -> bool {
        matches!(Completion.validate(text), ValidationResult::Incomplete)
    }

    #[test]
    fn an_open_command_wants_more_until_somebody_insists() {
        assert!(!wants_more("ls"));
        assert!(wants_more("if true"));
        assert!(wants_more("if true\nthen"));
        assert!(!wants_more("if true\n"));
        assert!(!wants_more("if true\n  "));
        assert!(wants_more("echo 'a\n"));
        assert!(!wants_more("echo 'a\n\n"));
        assert!(wants_more("cat <<E\n\na"));
        assert!(!wants_more("echo a |\n"));
    }

    #[test]
    fn colours_change_no_byte() {
        let colours = Colours(Style { colour: true, dumb: false });
        let plain = Colours(Style { colour: false, dumb: false });
        for text in ["", "ls -l 'a b' $c | wc # x\n", "if é; then \u{202e}", "fi \u{fffd}", "a\\\u{e9}b"] {
            assert_eq!(colours.highlight(text, 0).raw_string().len(), text.len(), "{text:?}");
            assert_eq!(plain.highlight(text, 0).raw_string().len(), text.len(), "{text:?}");
        }
        assert!(colours.highlight("ls -l", 0).buffer.len() > 2);
        assert_eq!(plain.highlight("ls -l", 0).buffer.len(), 1);
    }

    #[test]
    fn what_a_terminal_would_obey_is_marked() {
        let found = shown("a\x1b[2J\t\u{9b}\u{202e}\u{e0001}\nb");
        assert_eq!(found, "a?[2J ¿\u{fffd}\u{1f6c7}\nb");
    }

    #[test]
    fn the_last_line_that_began_like_this_is_suggested() {
        let mut history = Remembered::in_memory();
        for line in ["git status", "git commit --amend", "ls"] {
            history.save(HistoryItem::from_command_line(line)).unwrap();
        }
        let mut suggestions = Suggestions::default();
        assert_eq!(suggestions.handle("git ", 4, &history, true, ""), "\x1b[2mcommit --amend\x1b[0m");
        assert_eq!(suggestions.complete_hint(), "commit --amend");
        assert_eq!(suggestions.next_hint_token(), "commit");
        suggestions.handle("git commit", 10, &history, true, "");
        assert_eq!(suggestions.next_hint_token(), " --amend");
        assert_eq!(suggestions.handle("git ", 2, &history, true, ""), "");
        assert_eq!(suggestions.handle("nothing", 7, &history, true, ""), "");
    }
}
