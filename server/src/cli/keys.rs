//! `server key`, `keys`, `authorize`, `revoke`: who this server is, and who may come in.

use std::path::Path;
use std::time::SystemTime;

use common::keys::authorized_keys::{self, AuthorizedKeys, Entry};
use common::keys::revoked_keys::RevokedKeys;
use common::keys::{Fingerprint, LineError, Problem, PublicKey, append_line, rewrite};

use super::{Here, print};
use crate::error::{Left, StartError};
use crate::key_files::{KEYS_MODE, KeyFiles, KeyRefusal};

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

/// Lets the key of `line` in; with its options, if it has some. A line that would not count is not written.
pub(super) fn authorize(here: &Here, line: &str) -> Result<(), StartError> {
    let (keys, now) = (here.keys(), SystemTime::now());
    let entry = one_entry(line)?;
    if keys.revoked()?.contains(&entry.key) {
        return Err(StartError::Revoked { key: entry.key.fingerprint(), path: keys.revoked });
    }
    if entry.options.is_over(now) {
        return Err(StartError::Expired);
    }
    // A file that may not be trusted is not added to.
    keys.authorized()?;
    let line = authorized_keys::line(&entry.options, &entry.key, &entry.comment);
    append_line(&keys.authorized, &line, KEYS_MODE, |old, new| {
        let known = AuthorizedKeys::parse(old).entries;
        if known.iter().any(|known| known.key == entry.key && !known.options.is_over(now)) {
            return Err(StartError::Listed { key: entry.key.fingerprint(), path: keys.authorized.clone() });
        }
        last_line_counts(new, &keys.authorized).map(|()| true)
    })?;
    say_done(&format!("{} may connect now", entry.key.fingerprint()))
}

/// Whether the last line of this text of an `authorized_keys` is one that is read.
fn last_line_counts(text: &[u8], path: &Path) -> Result<(), StartError> {
    let last = text.split_inclusive(|byte| *byte == b'\n').count();
    match AuthorizedKeys::parse(text).problems.pop() {
        Some(Problem { error: LineError::TooMany { limit }, .. }) => {
            Err(StartError::Full { path: path.to_owned(), limit })
        }
        Some(problem) if problem.line == last => Err(StartError::NoKeyLine(problem.error.to_string())),
        _ => Ok(()),
    }
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
/// The former also if the latter cannot be done.
pub(super) fn revoke(here: &Here, key: &str) -> Result<(), StartError> {
    let keys = here.keys();
    let fingerprint = match key.parse::<Fingerprint>() {
        Ok(fingerprint) => fingerprint,
        Err(error) => {
            key.parse::<PublicKey>().map_err(|_| StartError::NoFingerprint(error.to_string()))?.fingerprint()
        }
    };
    let authorized = keys.authorized()?;
    let listed: Vec<_> =
        authorized.entries.iter().filter(|entry| entry.key.fingerprint() == fingerprint).collect();
    let comment = listed.first().map(|entry| entry.comment.as_str()).unwrap_or_default();
    // First the file that refuses, so that there is no moment in which neither speaks of it.
    let written = write_revocation(&keys, &fingerprint, comment);
    let count = listed.len();
    let taken_out = if listed.is_empty() {
        Ok(())
    } else {
        // Of the text as it is then: others may have changed it meanwhile, and lines have moved.
        rewrite(&keys.authorized, |text| without_key(text, &fingerprint))
    };
    let kept = taken_out.is_err();
    written.map_err(|reason| StartError::NotRevoked {
        key: fingerprint,
        left: if kept {
            Left::Listed
        } else if count > 0 {
            Left::TakenOut
        } else {
            Left::Unlisted
        },
        reason: Box::new(reason),
    })?;
    taken_out.map_err(|reason| StartError::StillListed { key: fingerprint, reason })?;
    if count == 0 {
        return say_done(&format!("{fingerprint} was not listed; it will not be let in if it ever is"));
    }
    say_done(&format!("{fingerprint} may not connect any more; lines taken out of authorized_keys: {count}"))
}

/// Prints what was done. That it cannot be printed must not look as if it were not done.
fn say_done(line: &str) -> Result<(), StartError> {
    print(line).map_err(StartError::Unsaid)
}

/// Adds a line to `revoked_keys`, unless the key is in it already, or the file could not be read with that line: then it
/// would keep everybody out.
fn write_revocation(keys: &KeyFiles, fingerprint: &Fingerprint, comment: &str) -> Result<(), StartError> {
    match keys.revoked() {
        Ok(revoked) if revoked.has(fingerprint) => return Ok(()),
        Ok(_) | Err(KeyRefusal::NoRevocations { .. }) => {}
        Err(refusal) => return Err(refusal.into()),
    }
    let path = &keys.revoked;
    let refusal = |problem: Problem| match problem.error {
        LineError::TooMany { limit } => StartError::Full { path: path.clone(), limit },
        _ => StartError::Key(KeyRefusal::UnreadableRevocations { path: path.clone(), problem }),
    };
    append_line(path, format!("{fingerprint} {comment}").trim_end(), KEYS_MODE, |old, new| {
        let is_in_it = RevokedKeys::parse(old).map_err(refusal)?.has(fingerprint);
        RevokedKeys::parse(new).map_err(refusal)?;
        Ok(!is_in_it)
    })
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
