//! `:set` at work: what a session's settings are, and what they are from now on.

use super::commands::{Change, Set, Setting, switched};
use super::lines::Lines;
use super::{Stop, Work};
use crate::cli::exit_code;
use crate::cli::failure::Failure;
use crate::config::PromptSettings;

impl Work<'_> {
    /// Shows or changes what is wanted.
    pub(super) fn set(&mut self, set: Set, lines: &Lines) -> Result<(), Stop> {
        self.done(0);
        match set {
            Set::List => self.list_settings(&Setting::ALL, lines)?,
            Set::Show(setting) => self.list_settings(&[setting], lines)?,
            Set::Change(Change::Errexit(is_on)) => self.errexit = is_on,
            Set::Change(Change::Prompt(format)) => self.change_looks(lines, |looks| looks.format = format),
            Set::Change(Change::Colour(is_on)) => {
                self.change_looks(lines, |looks| looks.colour = is_on);
                if is_on && lines.is_plain() {
                    self.complain("there are no colours: NO_COLOR is set, or TERM says dumb");
                }
            }
        }
        Ok(())
    }

    fn list_settings(&self, settings: &[Setting], lines: &Lines) -> Result<(), Failure> {
        let looks = lines.looks();
        let line = |setting: &Setting| {
            let value = match (setting, &looks) {
                (Setting::Errexit, _) => switched(self.errexit).to_owned(),
                (Setting::Colour, Some(looks)) => switched(looks.colour).to_owned(),
                (Setting::Prompt, Some(looks)) => shell_words::quote(&looks.format.to_string()).into_owned(),
                (Setting::Colour | Setting::Prompt, None) => return None,
            };
            Some(format!("{:8} {value}\n", setting.name()))
        };
        let lines: String = settings.iter().filter_map(line).collect();
        self.show(&lines)
    }

    fn change_looks(&mut self, lines: &Lines, change: impl FnOnce(&mut PromptSettings)) {
        if !lines.change_looks(change) {
            self.complain("this is not a terminal, and has no prompt");
            self.done(exit_code::FAILED);
        }
    }
}
