//! Keys of a configuration file and the text of their values: which key a place in the file belongs to, and what is written
//! for it. Knows no key by name, and no type of value.

use toml::de::{DeTable, DeValue};

/// A key with the names of the tables around it, from the outside in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key(Vec<String>);

impl Key {
    /// The one whose value is at the byte `at` of `text`. `None` for what is part of no value, and if the text is no TOML.
    pub(super) fn at(text: &str, at: usize) -> Option<Self> {
        let table = DeTable::parse(text).ok()?.into_inner();
        Some(Self(names_at(&table, at)?))
    }

    /// The line that sets it in `text`: `name = value`, or `[name]` for a table. `None` if there is none, or if it is all
    /// written in one line with others.
    pub(super) fn line_in(&self, text: &str) -> Option<String> {
        let (last, outer) = self.0.split_last()?;
        let mut table = DeTable::parse(text).ok()?.into_inner();
        for name in outer {
            let DeValue::Table(inner) = table.remove(name.as_str())?.into_inner() else { return None };
            table = inner;
        }
        let value = table.remove(last.as_str())?;
        if value.get_ref().is_table() {
            return Some(format!("[{}]", self.0.join(".")));
        }
        Some(format!("{last} = {}", text.get(value.span())?))
    }

    /// As it is written at the top of a file.
    pub(super) fn dotted(&self) -> String {
        self.0.join(".")
    }
}

fn names_at(table: &DeTable<'_>, at: usize) -> Option<Vec<String>> {
    table.iter().find_map(|(name, value)| {
        let inner = match value.get_ref() {
            DeValue::Table(inner) => names_at(inner, at)?,
            _ => value.span().contains(&at).then(Vec::new)?,
        };
        Some([vec![name.get_ref().to_string()], inner].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = [\n  'x',\n  'y',\n]\n[t]\nb = 1\nc.d = 2\ne = { f = 3 }\n[[l]]\ng = 4\n";

    fn at(what: &str) -> Option<String> {
        Key::at(TEXT, TEXT.find(what).unwrap()).map(|key| key.dotted())
    }

    #[test]
    fn a_value_has_the_key_that_it_is_written_for() {
        for (value, key) in [("'y'", "a"), ("1", "t.b"), ("2", "t.c.d"), ("3", "t.e.f"), ("[[l]]", "l")] {
            assert_eq!(at(value).as_deref(), Some(key), "{value}");
        }
        for other in ["a =", "b =", "[t]", "c.d"] {
            assert_eq!(at(other), None, "{other}");
        }
        assert_eq!(Key::at("a = ", 4), None);
    }

    #[test]
    fn a_key_is_found_in_another_text() {
        let line = |what: &str, text| Key::at(TEXT, TEXT.find(what).unwrap()).unwrap().line_in(text);
        assert_eq!(line("'y'", "a = ['z'] # no\n"), Some("a = ['z']".to_owned()));
        assert_eq!(line("1", "[t]\nb = \"1\""), Some("b = \"1\"".to_owned()));
        assert_eq!(line("[[l]]", "[l]\ng = 1"), Some("[l]".to_owned()));
        for text in ["", "b = 1", "t = 1", "[t]\nc = 1", "="] {
            assert_eq!(line("1", text), None, "{text}");
        }
    }
}
