//! The candidates below the line. Closes when there are none, so that no key goes to a menu that nobody sees.

use reedline::{
    Color, ColumnarMenu, Completer, Editor, Menu, MenuBuilder, MenuEvent, MenuSettings, Painter, Suggestion,
};

use super::prompt::Style;

/// What the key for it calls it.
pub(super) const NAME: &str = "completion";

/// What belongs to a word beside letters and digits: the menu stays open while one is typed.
const WORD: &str = "_-.,+@%:~\\";

/// The library's menu, but for that.
pub(super) struct Candidates {
    menu: ColumnarMenu,
    /// What the candidates have in common is in the line: the next Tab goes from one to the next.
    is_extended: bool,
}

impl Candidates {
    pub(super) fn new(style: Style) -> Self {
        let mut menu = ColumnarMenu::default().with_name(NAME).with_marker("").with_word_chars(WORD);
        let plain = Color::Default.normal();
        menu = menu.with_text_style(plain).with_match_text_style(plain);
        if style.colour {
            menu = menu
                .with_selected_text_style(plain.bold().reverse())
                .with_selected_match_text_style(plain.bold().reverse());
        }
        Self { menu, is_extended: false }
    }

    fn close_if_empty(&mut self) {
        if self.menu.is_active() && self.menu.get_values().is_empty() {
            self.menu.menu_event(MenuEvent::Deactivate);
        }
    }
}

impl Menu for Candidates {
    fn settings(&self) -> &MenuSettings {
        self.menu.settings()
    }

    fn is_active(&self) -> bool {
        self.menu.is_active()
    }

    fn set_active(&mut self, active: bool) {
        self.menu.set_active(active);
    }

    fn clear_input(&mut self) {
        self.menu.clear_input();
    }

    fn on_activate(&mut self) {
        self.menu.on_activate();
    }

    fn on_deactivate(&mut self) {
        self.menu.on_deactivate();
    }

    fn menu_event(&mut self, event: MenuEvent) {
        if matches!(event, MenuEvent::Activate(_) | MenuEvent::Edit(_)) {
            self.is_extended = false;
        }
        self.menu.menu_event(event);
    }

    fn can_quick_complete(&self) -> bool {
        self.menu.can_quick_complete()
    }

    fn can_partially_complete(
        &mut self,
        values_updated: bool,
        editor: &mut Editor,
        completer: &mut dyn Completer,
    ) -> bool {
        if self.is_extended {
            return false;
        }
        self.is_extended = true;
        let has_more = self.menu.can_partially_complete(values_updated, editor, completer);
        self.close_if_empty();
        has_more
    }

    fn update_values(&mut self, editor: &mut Editor, completer: &mut dyn Completer) {
        self.menu.update_values(editor, completer);
        self.close_if_empty();
    }

    fn reset_position(&mut self) {
        self.menu.reset_position();
    }

    fn update_working_details(
        &mut self,
        editor: &mut Editor,
        completer: &mut dyn Completer,
        painter: &Painter,
    ) {
        self.menu.update_working_details(editor, completer, painter);
        self.close_if_empty();
    }

    fn replace_in_buffer(&self, editor: &mut Editor) {
        self.menu.replace_in_buffer(editor);
    }

    fn menu_required_lines(&self, terminal_columns: u16) -> u16 {
        self.menu.menu_required_lines(terminal_columns)
    }

    fn menu_string(&self, available_lines: u16, use_ansi_coloring: bool) -> String {
        self.menu.menu_string(available_lines, use_ansi_coloring)
    }

    fn min_rows(&self) -> u16 {
        self.menu.min_rows()
    }

    fn get_values(&self) -> &[Suggestion] {
        self.menu.get_values()
    }
}
