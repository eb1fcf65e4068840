//! Another host in the user's file. What is there stays as it is, byte for byte: it is the user's, comments and all.

use std::fmt::Write;
use std::path::Path;

use common::config::ConfigError;
use common::keys::WriteError;
use thiserror::Error;

use super::{ClientConfig, HostAlias, HostEntry};

/// The text of the file at `path` with another host at its end: `existing` is what it holds now. `~` is `home`.
///
/// The result has been read again: it says what `existing` said, and the new host.
///
/// # Errors
/// [`AddHostError`].
pub(crate) fn add_host(
    existing: &str,
    path: &Path,
    home: &Path,
    name: &HostAlias,
    entry: &HostEntry,
) -> Result<String, AddHostError> {
    let mut expected = ClientConfig::parse(existing, path, home)?;
    if expected.hosts.insert(name.clone(), entry.clone()).is_some() {
        return Err(AddHostError::Exists { name: name.clone() });
    }
    let mut text = existing.to_owned();
    if !existing.is_empty() {
        text.push_str(if existing.ends_with('\n') { "\n" } else { "\n\n" });
    }
    append_table(&mut text, name, entry)?;
    // A file whose hosts stand in one inline table takes no other table behind it.
    match ClientConfig::parse(&text, path, home) {
        Ok(found) if found == expected => Ok(text),
        Ok(_) | Err(ConfigError::Line { .. }) => Err(AddHostError::Form),
        Err(error) => Err(error.into()),
    }
}

fn append_table(text: &mut String, name: &HostAlias, entry: &HostEntry) -> Result<(), AddHostError> {
    let name = name.to_string();
    let key = if name.contains('.') { quoted(&name) } else { name };
    let mut lines = format!("[hosts.{key}]\naddress = {}\n", quoted(&entry.address.to_string()));
    if let Some(identity) = &entry.identity {
        let identity = identity.to_str().ok_or(AddHostError::NotText)?;
        push_line(&mut lines, "identity", &quoted(identity));
    }
    if let Some(user) = &entry.user {
        push_line(&mut lines, "user", &quoted(user));
    }
    if entry.agent {
        push_line(&mut lines, "agent", "true");
    }
    text.push_str(&lines);
    Ok(())
}

fn push_line(lines: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    writeln!(lines, "{key} = {value}").ok();
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                write!(out, "\\u{:04x}", u32::from(c)).ok();
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Why a host is not added. The local user's fault.
#[derive(Debug, Error)]
pub(crate) enum AddHostError {
    /// There is one of that name.
    #[error("there is a host {name} already")]
    Exists {
        /// The name.
        name: HostAlias,
    },
    /// The file as it is, or as it would be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A path that is not UTF-8 cannot be in a TOML file.
    #[error("a path that is not UTF-8 cannot be written into the file")]
    NotText,
    /// The file is valid, and what is appended does not become a host.
    #[error("the file's hosts are written in a form that takes no table [hosts.NAME] at the end")]
    Form,
}
