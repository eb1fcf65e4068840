//! Configuration files: TOML to typed values, and what is wrong with it in one line. Knows the keys of no program.
//!
//! - [`Places`]: where a user's files are
//! - [`value`]: the kinds of values that both programs' files have

mod places;
pub mod value;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

pub use places::Places;

use crate::escape::escape;
use crate::keys::{FileError, Trust, read_trusted};
use crate::suggestion::nearest;

/// Most bytes of a configuration file: what nobody has written by hand is a mistake.
pub const MAX_BYTES: usize = 1024 * 1024;

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
    check_size(text.len(), path)?;
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        // What is missing at the end belongs to the last line that has something on it.
        let at = at.min(text.trim_end().len());
        let line = line_at(text.as_bytes().get(..at).unwrap_or_default());
        ConfigError::Line { path: path.to_owned(), line, message: sentence(error.message()) }
    })
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
    let own = unknown_key(message).or_else(|| unknown_value(message));
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
            ("count = 'x'", "f.toml:1: invalid type: string \"x\", expected u32"),
            ("count = 1\ncount = 2", "f.toml:2: duplicate key"),
            ("listen = [\n  'a',\n  7,\n]", "f.toml:3: invalid type: integer `7`, expected a string"),
        ];
        for (text, expected) in rows {
            assert_eq!(complaint(text), expected);
        }
        assert!(complaint("count = 1\nlisten = [").starts_with("f.toml:2: "));
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
