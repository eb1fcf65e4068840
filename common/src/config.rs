//! Configuration files: TOML to typed values, and what is wrong with it in one line. Knows the keys of no program.
//!
//! - [`Places`]: where a user's files are
//! - [`value`]: the kinds of values that both programs' files have

mod key;
mod places;
pub mod value;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

pub use places::Places;

use crate::escape::escape;
use crate::keys::{FileError, TRUSTED_FILE_BYTES, Trust, read_trusted};
use crate::suggestion::nearest;
use key::Key;

/// Most bytes of a configuration file: what nobody has written by hand is a mistake.
pub const MAX_BYTES: usize = TRUSTED_FILE_BYTES;

/// Characters of the file that an error repeats.
const MESSAGE_CHARS: usize = 300;

/// The text of the file at `path`; `None` if there is no file.
///
/// # Errors
/// [`ConfigError`] if it cannot be read, is too large or is not UTF-8, or if others than `trust` says could have written it.
pub fn read(path: &Path, trust: &Trust) -> Result<Option<String>, ConfigError> {
    let bytes = read_trusted(path, trust, MAX_BYTES)?;
    bytes.map(|bytes| text(bytes, path)).transpose()
}

/// `bytes` as text, if that is what they are.
fn text(bytes: Vec<u8>, path: &Path) -> Result<String, ConfigError> {
    check_size(bytes.len(), path)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = line_at(error.as_bytes().get(..valid).unwrap_or_default());
        ConfigError::Line { path: path.to_owned(), line, message: "not UTF-8".to_owned() }
    })
}

/// The values in `text`, which is the file at `path`.
///
/// # Errors
/// [`ConfigError::Line`] for the first thing that is not TOML, not a key of `T` or not its value; [`ConfigError::TooLarge`].
pub fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    parse_by_example(text, path, "")
}

/// As [`parse`]; what is wrong with a value is said with its key, and with the value that `example` has for that key.
///
/// # Errors
/// As [`parse`].
pub fn parse_by_example<T: DeserializeOwned>(
    text: &str,
    path: &Path,
    example: &str,
) -> Result<T, ConfigError> {
    check_size(text.len(), path)?;
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = match known_key(text, at, example) {
            Some((key, line)) => {
                format!("{}: {}; for example: {line}", sentence(&key.dotted()), sentence(error.message()))
            }
            None => sentence(error.message()),
        };
        // What is missing at the end belongs to the last line that has something on it.
        let at = at.min(text.trim_end().len());
        let line = line_at(text.as_bytes().get(..at).unwrap_or_default());
        ConfigError::Line { path: path.to_owned(), line, message }
    })
}

/// The key whose value is at `at`, with its line in `example`.
fn known_key(text: &str, at: usize, example: &str) -> Option<(Key, String)> {
    let key = Key::at(text, at)?;
    let line = key.line_in(example)?;
    Some((key, line))
}

fn check_size(bytes: usize, path: &Path) -> Result<(), ConfigError> {
    if bytes > MAX_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    Ok(())
}

/// The number of the line that comes after `before`, counted from 1.
fn line_at(before: &[u8]) -> usize {
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The parser's message in the words of someone who writes the file, on one line.
fn sentence(message: &str) -> String {
    let own = unknown_key(message).or_else(|| unknown_value(message)).or_else(|| wrong_type(message));
    let message = own.unwrap_or_else(|| message.replacen("missing field", "missing key", 1));
    let end = message.char_indices().nth(MESSAGE_CHARS).map_or(message.len(), |(at, _)| at);
    escape(message.get(..end).unwrap_or_default()).into_owned()
}

/// From serde's "unknown field `x`, expected one of `a`, `b`".
fn unknown_key(message: &str) -> Option<String> {
    let (key, known) = message.strip_prefix("unknown field `")?.rsplit_once("`, expected ")?;
    Some(match nearest(key, names(known)) {
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None => format!("unknown key `{key}`; known here: {}", list(known)),
    })
}

/// From serde's "unknown variant `x`, expected `a` or `b`".
fn unknown_value(message: &str) -> Option<String> {
    let (value, known) = message.strip_prefix("unknown variant `")?.rsplit_once("`, expected ")?;
    Some(format!("unknown value `{value}`; write one of: {}", list(known)))
}

/// From serde's "invalid type: integer `5`, expected a string", and from what the parser says of a word that is none.
fn wrong_type(message: &str) -> Option<String> {
    if message == "wanted string or table" {
        return Some("not a string in quotes".to_owned());
    }
    let (found, wanted) = message.strip_prefix("invalid type: ")?.rsplit_once(", expected ")?;
    let found = match found {
        "sequence" => "a list",
        "map" => "a table",
        // The kind, and the value between backticks, or a string between quotes.
        value => value.split_once(['`', '"']).map_or(value, |(kind, _)| value.trim_start_matches(kind)),
    };
    let wanted = match wanted {
        "a string" => "a string in quotes",
        "a sequence" => "a list in brackets",
        "a boolean" => "true or false",
        "i64" | "i128" | "u32" => "a whole number",
        name if name.starts_with("struct ") => "a table of keys",
        other => other,
    };
    Some(format!("{} is not {wanted}", found.trim_matches('`')))
}

/// What stands between backticks.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn list(known: &str) -> String {
    names(known).collect::<Vec<_>>().join(", ")
}

/// A configuration that cannot be used. The fault of whoever wrote it.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A line of a file.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there; one line, without control characters.
        message: String,
    },
    /// It is not as it has to be, or cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no file of the name that was given.
    #[error("there is no file {}", path.display())]
    Missing {
        /// The name.
        path: PathBuf,
    },
    /// More than [`MAX_BYTES`].
    #[error("{} has more than {MAX_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Nothing says where the user's files are.
    #[error("HOME is not set to an absolute path")]
    NoHome,
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "lowercase")]
    enum Level {
        High,
        Low,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        listen: Vec<String>,
        count: Option<u32>,
        level: Option<Level>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused matters")]
    struct Inner {
        address: String,
        user: Option<String>,
    }

    fn complaint(text: &str) -> String {
        parse::<Sample>(text, Path::new("f.toml")).unwrap_err().to_string()
    }

    #[test]
    fn every_complaint_is_one_line_with_its_place() {
        let rows = [
            ("# a\n\nlisen = []\n", "f.toml:3: unknown key `lisen`; did you mean `listen`?"),
            ("port = 1\n", "f.toml:1: unknown key `port`; known here: listen, count, level, inner"),
            ("[inner]\naddress = ''\nusr = ''", "f.toml:3: unknown key `usr`; did you mean `user`?"),
            ("level = 'hihg'", "f.toml:1: unknown value `hihg`; write one of: high, low"),
            ("\n[inner]\nuser = ''\n", "f.toml:2: missing key `address`"),
            ("count = 'x'", "f.toml:1: \"x\" is not a whole number"),
            ("inner = 1.5", "f.toml:1: 1.5 is not a table of keys"),
            ("listen = {}", "f.toml:1: a table is not a list in brackets"),
            ("level = 7", "f.toml:1: not a string in quotes"),
            ("count = 1\ncount = 2", "f.toml:2: duplicate key"),
            ("listen = [\n  'a',\n  7,\n]", "f.toml:3: 7 is not a string in quotes"),
        ];
        for (text, expected) in rows {
            assert_eq!(complaint(text), expected);
        }
        assert!(complaint("count = 1\nlisten = [").starts_with("f.toml:2: "));
    }

    #[test]
    fn a_wrong_value_is_said_with_its_key_and_a_right_one() {
        let example = "listen = ['db1:9000']\ncount = 5\nlevel = 'high'\n[inner]\naddress = 'db1'\n";
        let complaint = |text: &str| {
            parse_by_example::<Sample>(text, Path::new("f.toml"), example).unwrap_err().to_string()
        };
        let rows = [
            ("count = true", "f.toml:1: count: true is not a whole number; for example: count = 5"),
            (
                "\nlevel = 'hihg'",
                "f.toml:2: level: unknown value `hihg`; write one of: high, low; for example: level = 'high'",
            ),
            (
                "[inner]\naddress = 7",
                "f.toml:2: inner.address: 7 is not a string in quotes; for example: address = 'db1'",
            ),
            (
                "listen = [\n7]",
                "f.toml:2: listen: 7 is not a string in quotes; for example: listen = ['db1:9000']",
            ),
            ("inner = 7", "f.toml:1: inner: 7 is not a table of keys; for example: [inner]"),
            ("[inner]\naddress = ''\nuser = 7", "f.toml:3: 7 is not a string in quotes"),
            ("cuont = 5", "f.toml:1: unknown key `cuont`; did you mean `count`?"),
        ];
        for (text, expected) in rows {
            assert_eq!(complaint(text), expected);
        }
    }

    #[test]
    fn what_stands_in_the_file_cannot_write_lines_of_its_own() {
        let text = complaint("\"a\\nb\\u001b\" = 1");
        assert!(text.starts_with("f.toml:1: unknown key `a\\x0ab\\x1b`"), "{text}");
        assert!(complaint(&format!("{} = 1", "x".repeat(100_000))).len() < 500);
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let trust = Trust { home: directory.path().to_owned(), ..Trust::current() };
        let read = |path: &Path| read(path, &trust);
        let path = directory.path().join("f.toml");
        assert!(read(&path).unwrap().is_none());
        std::fs::write(&path, "a = 1").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("a = 1"));
        std::fs::write(&path, b"a = 1\nb = '\xff'").unwrap();
        assert!(read(&path).unwrap_err().to_string().ends_with("f.toml:2: not UTF-8"));
        std::fs::write(&path, vec![b'#'; MAX_BYTES + 1]).unwrap();
        assert!(matches!(read(&path), Err(ConfigError::File(_))));
        let inner = directory.path().join("d.toml");
        std::fs::create_dir(&inner).unwrap();
        let text = read(&inner).unwrap_err().to_string();
        assert!(text.ends_with("it is a directory, not a file"), "{text}");
        std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let text = read(&path).unwrap_err().to_string();
        assert!(text.ends_with("it can be changed by others (mode 0666)"), "{text}");
    }
}
