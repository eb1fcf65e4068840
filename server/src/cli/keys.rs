//! `server key`, `keys`, `authorize`, `revoke`: who this server is, and who may come in.

use std::time::SystemTime;

use common::keys::authorized_keys::{self, AuthorizedKeys, Entry};
use common::keys::{Fingerprint, PublicKey, append_line, rewrite};

use super::{Here, print};
use crate::error::StartError;

/// Mode of a file of keys that is made for the first one.
const KEYS_MODE: u32 = 0o600;

/// Prints the host key, as a line for `known_hosts` would have it, and its fingerprint.
pub(super) fn show_host_key(here: &Here) -> Result<(), StartError> {
    let key = here.host_key()?;
    print(&key.to_string())?;
    Ok(print(&key.fingerprint().to_string())?)
}

/// Lists the keys that may connect, and the lines that let nobody in.
pub(super) fn list(here: &Here) -> Result<(), StartError> {
    let keys = here.keys();
    let (authorized, revoked) = (keys.authorized()?, keys.revoked()?);
    for entry in &authorized.entries {
        let state = if revoked.contains(&entry.key) { "revoked " } else { "" };
        print(&format!("{} {state}{}", entry.key.fingerprint(), described(entry)))?;
    }
    for problem in &authorized.problems {
        print(&format!("{}; this line lets nobody in", problem.at(&keys.authorized)))?;
    }
    Ok(())
}

fn described(entry: &Entry) -> String {
    let comment = if entry.comment.is_empty() { "(no comment)" } else { &entry.comment };
    let options = entry.options.to_string();
    if options.is_empty() { comment.to_owned() } else { format!("{comment} [{options}]") }
}

/// Lets the key of `line` in; with its options, if it has some.
pub(super) fn authorize(here: &Here, line: &str) -> Result<(), StartError> {
    let keys = here.keys();
    let entry = one_entry(line)?;
    if keys.revoked()?.contains(&entry.key) {
        return Err(StartError::Revoked { key: entry.key.fingerprint(), path: keys.revoked });
    }
    if keys.read()?.good(SystemTime::now()).any(|known| known.key == entry.key) {
        return Err(StartError::Listed { key: entry.key.fingerprint(), path: keys.authorized });
    }
    if entry.options.expires_at().is_some_and(|end| end <= SystemTime::now()) {
        return Err(StartError::Expired);
    }
    let line = authorized_keys::line(&entry.options, &entry.key, &entry.comment);
    append_line(&keys.authorized, &line, KEYS_MODE)?;
    Ok(print(&format!("{} may connect now", entry.key.fingerprint()))?)
}

fn one_entry(text: &str) -> Result<Entry, StartError> {
    // Behind the key, `client key` prints its fingerprint.
    let lines = text.lines().filter(|line| !line.starts_with("SHA256:")).collect::<Vec<_>>().join("\n");
    let AuthorizedKeys { mut entries, problems } = AuthorizedKeys::parse(lines.as_bytes());
    match (entries.pop(), problems.into_iter().next()) {
        (Some(entry), None) if entries.is_empty() => Ok(entry),
        (_, Some(problem)) => Err(StartError::NoKeyLine(problem.error.to_string())),
        _ => Err(StartError::NoKeyLine("not one key".to_owned())),
    }
}

/// Lets the key with this fingerprint in no more: it is taken out of `authorized_keys`, and written into `revoked_keys`.
pub(super) fn revoke(here: &Here, key: &str) -> Result<(), StartError> {
    let keys = here.keys();
    let fingerprint = match key.parse::<Fingerprint>() {
        Ok(fingerprint) => fingerprint,
        Err(error) => {
            key.parse::<PublicKey>().map_err(|_| StartError::NoKeyLine(error.to_string()))?.fingerprint()
        }
    };
    let authorized = keys.authorized()?;
    let listed: Vec<_> =
        authorized.entries.iter().filter(|entry| entry.key.fingerprint() == fingerprint).collect();
    let comment = listed.first().map(|entry| entry.comment.clone()).unwrap_or_default();
    // First the file that refuses, so that there is no moment in which neither speaks of it.
    if !keys.revoked()?.has(&fingerprint) {
        append_line(&keys.revoked, format!("{fingerprint} {comment}").trim_end(), KEYS_MODE)?;
    }
    if !listed.is_empty() {
        // Of the text as it is then: others may have changed it meanwhile, and lines have moved.
        rewrite(&keys.authorized, |text| without_key(text, &fingerprint))?;
    }
    if listed.is_empty() {
        return Ok(print(&format!("{fingerprint} was not listed; it will not be let in if it ever is"))?);
    }
    let count = listed.len();
    Ok(print(&format!(
        "{fingerprint} may not connect any more; lines taken out of authorized_keys: {count}"
    ))?)
}

/// `text` without the lines of this key.
fn without_key(text: &[u8], fingerprint: &Fingerprint) -> Vec<u8> {
    let entries = AuthorizedKeys::parse(text).entries;
    let gone = |line: usize| {
        entries.iter().any(|entry| entry.line == line && entry.key.fingerprint() == *fingerprint)
    };
    let lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.filter(|(index, _)| !gone(index + 1)).flat_map(|(_, line)| line.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_of_the_key_go() {
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let text =
            format!("# first\n{} ann\nrestrict {} bob\nnonsense\n{} bob again", key(1), key(2), key(2));
        let left = without_key(text.as_bytes(), &key(2).fingerprint());
        assert_eq!(String::from_utf8(left).unwrap(), format!("# first\n{} ann\nnonsense\n", key(1)));
    }
}
