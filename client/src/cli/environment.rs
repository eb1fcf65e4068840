//! Variables for the command, from `-e` and from files in docker's format.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use thiserror::Error;

use super::failure::Failure;

/// One `NAME=VALUE`, or a bare `NAME` that copies the local value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    name: OsString,
    value: Option<OsString>,
}

/// Not an assignment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum AssignmentError {
    /// Nothing before the `=`.
    #[error("a variable needs a name: NAME=VALUE, or NAME to copy the local value")]
    NoName,
    /// White space in a name in a file is a slip, not a name.
    #[error("there is white space in the name {0:?}")]
    WhiteSpace(String),
}

impl Assignment {
    /// Reads `NAME=VALUE` or `NAME`.
    ///
    /// # Errors
    /// [`AssignmentError::NoName`].
    pub(crate) fn parse(text: &OsStr) -> Result<Self, AssignmentError> {
        let bytes = text.as_bytes();
        let mut parts = bytes.splitn(2, |byte| *byte == b'=').map(OsStr::from_bytes);
        let name = parts.next().filter(|name| !name.is_empty()).ok_or(AssignmentError::NoName)?;
        Ok(Self { name: name.to_owned(), value: parts.next().map(OsStr::to_owned) })
    }

    /// Name and value; `None` for a copy of a local variable that is not set, which is skipped as docker does.
    pub(crate) fn resolve(
        self,
        local: impl FnOnce(&OsStr) -> Option<OsString>,
    ) -> Option<(OsString, OsString)> {
        let value = self.value.or_else(|| local(&self.name))?;
        Some((self.name, value))
    }
}

/// The assignments in a file: a line each, with `#` comments and blank lines; values are taken as they stand.
///
/// # Errors
/// [`Failure::EnvFile`] if the file cannot be read, [`Failure::EnvLine`] for a line that is no assignment.
pub(crate) fn read_file(path: &Path) -> Result<Vec<Assignment>, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::EnvFile(path.to_owned(), error))?;
    parse_lines(&bytes).map_err(|(line, error)| Failure::EnvLine { path: path.to_owned(), line, error })
}

fn parse_lines(bytes: &[u8]) -> Result<Vec<Assignment>, (usize, AssignmentError)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let lines =
        lines.map(|(index, line)| (index + 1, line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
        .map(|(number, line)| parse_line(line).map_err(|error| (number, error)))
        .collect()
}

fn parse_line(line: &[u8]) -> Result<Assignment, AssignmentError> {
    let assignment = Assignment::parse(OsStr::from_bytes(line))?;
    if assignment.name.as_bytes().iter().any(u8::is_ascii_whitespace) {
        return Err(AssignmentError::WhiteSpace(assignment.name.to_string_lossy().into_owned()));
    }
    Ok(assignment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(name: &str, value: Option<&str>) -> Assignment {
        Assignment { name: name.into(), value: value.map(OsString::from) }
    }

    #[test]
    fn one_assignment() {
        assert_eq!(Assignment::parse(OsStr::new("A=B=C")), Ok(assignment("A", Some("B=C"))));
        assert_eq!(Assignment::parse(OsStr::new("A=")), Ok(assignment("A", Some(""))));
        assert_eq!(Assignment::parse(OsStr::new("A")), Ok(assignment("A", None)));
        assert_eq!(Assignment::parse(OsStr::new("=B")), Err(AssignmentError::NoName));
        assert_eq!(Assignment::parse(OsStr::new("")), Err(AssignmentError::NoName));
    }

    #[test]
    fn a_bare_name_copies_or_is_skipped() {
        let local = |name: &OsStr| (name == "HERE").then(|| OsString::from("x"));
        assert_eq!(assignment("HERE", None).resolve(local), Some(("HERE".into(), "x".into())));
        assert_eq!(assignment("GONE", None).resolve(local), None);
        assert_eq!(assignment("GONE", Some("")).resolve(local), Some(("GONE".into(), "".into())));
    }

    #[test]
    fn a_file() {
        let text =
            b"\xef\xbb\xbf# comment\n\nA=1\n  B = two words \nC='quoted' # not a comment\r\n\t#x\nHOME\nD=";
        assert_eq!(parse_lines(text), Err((4, AssignmentError::WhiteSpace("B ".to_owned()))));
        let text = b"# comment\n\nA=1\n  B= two words \nC='quoted' # not a comment\r\n\t#x\nHOME\nD=";
        let expected = vec![
            assignment("A", Some("1")),
            assignment("B", Some(" two words ")),
            assignment("C", Some("'quoted' # not a comment")),
            assignment("HOME", None),
            assignment("D", Some("")),
        ];
        assert_eq!(parse_lines(text), Ok(expected));
        assert_eq!(parse_lines(b"A=1\n=2\n"), Err((2, AssignmentError::NoName)));
    }

    #[test]
    fn bytes_that_are_not_text_stay_as_they_are() {
        let parsed = parse_lines(b"A=\xff\xfe").unwrap();
        assert_eq!(
            parsed,
            [Assignment { name: "A".into(), value: Some(OsStr::from_bytes(b"\xff\xfe").into()) }]
        );
    }
}
