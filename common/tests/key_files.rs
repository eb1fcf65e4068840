//! Key files beside OpenSSH's own reading of them: what `ssh-keygen` finds in a file, we find, too.
//!
//! Needs `ssh-keygen` (Debian: openssh-client).

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

#[path = "support/random.rs"]
mod random;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::keys::authorized_keys::AuthorizedKeys;
use common::keys::known_hosts::{HostName, KnownHosts, Verdict, hashed_line, line};
use common::keys::{LineError, PublicKey};
use random::{Random, SeedOnPanic};
use tempfile::TempDir;

/// What `ssh-keygen` prints; it ends with 1 if it finds nothing.
fn ssh_keygen<const N: usize>(arguments: [&str; N]) -> String {
    let output = Command::new("ssh-keygen")
        .args(arguments)
        .stdin(Stdio::null())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .unwrap_or_else(|error| panic!("these tests need ssh-keygen (Debian: openssh-client): {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("ssh-keygen prints text")
}

/// A new key of another algorithm, as its `.pub` file has it.
fn ecdsa_key(directory: &Path) -> String {
    let path = directory.join("ecdsa");
    ssh_keygen(["-q", "-t", "ecdsa", "-N", "", "-C", "", "-f", path.to_str().unwrap()]);
    fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

fn pick<'a>(random: &mut Random, choices: &[&'a str]) -> &'a str {
    choices[random.below(choices.len() as u64) as usize]
}

/// Keys that differ in a byte.
fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

/// A line of `authorized_keys`, good or not. There is one blank behind the options: with more, `ssh-keygen` loses the
/// key; sshd does not.
fn authorized_line(random: &mut Random, ecdsa: &str) -> String {
    let indentation = pick(random, &["", "", " ", "\t "]);
    let options = pick(
        random,
        &[
            "",
            "",
            "restrict ",
            r#"command="/bin/ls -l" "#,
            r#"command="echo \"a b\" # c",no-pty "#,
            r#"environment="A=x \" y",from="192.0.2.0/24,!192.0.2.1" "#,
            "restrict,pty,expiry-time=\"20300101Z\"\t",
            "no-such-option ",
            r#"command="open "#,
            "# ",
        ],
    );
    let key = match random.below(8) {
        0 => ecdsa.to_owned(),
        1 => "ssh-ed25519 AAAA".to_owned(),
        2 => String::new(),
        number => key(number as u8).to_string().replace(' ', pick(random, &[" ", " ", "\t", " \t  "])),
    };
    let comment = pick(random, &["", "", " me", " \t ann's key", " a # b"]);
    format!("{indentation}{options}{key}{comment}{}", pick(random, &["\n", "\n", "\n\n", "\r\n"]))
}

#[test]
fn ssh_keygen_finds_the_same_keys_and_comments_in_authorized_keys() {
    let directory = TempDir::new().unwrap();
    let ecdsa = ecdsa_key(directory.path());
    let path = directory.path().join("authorized_keys");
    let mut found = 0;
    for seed in 0..40 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        let file: String = (0..20).map(|_| authorized_line(&mut random, &ecdsa)).collect();
        fs::write(&path, &file).unwrap();
        let keys = AuthorizedKeys::parse(file.as_bytes());
        // What it does not know of options it does not refuse, so those lines are looked at without them.
        let refused = keys.problems.iter().filter(|problem| matches!(problem.error, LineError::Options(_)));
        let without_options = refused.filter_map(|problem| {
            let line = file.lines().nth(problem.line - 1)?.trim().strip_prefix("no-such-option ")?;
            AuthorizedKeys::parse(line.as_bytes()).entries.pop().map(|entry| (problem.line, entry))
        });
        let mut ours: Vec<_> = keys.entries.iter().map(|entry| (entry.line, entry.clone())).collect();
        ours.extend(without_options);
        ours.sort_by_key(|(line, _)| *line);
        let listed = ssh_keygen(["-l", "-f", path.to_str().unwrap()]);
        let theirs: Vec<_> = listed.lines().filter(|line| line.ends_with(" (ED25519)")).collect();
        assert_eq!(ours.len(), theirs.len(), "{file}\n{listed}");
        for ((_, entry), line) in ours.iter().zip(&theirs) {
            assert_eq!(line.split(' ').nth(1), Some(entry.key.fingerprint().to_string().as_str()), "{file}");
            // Where there is no comment, it prints the options in its place.
            assert!(entry.comment.is_empty() || line.contains(&entry.comment), "{entry:?}\n{line}");
        }
        found += theirs.len();
    }
    assert!(found > 100, "only {found} keys in all of these files");
}

/// What is in a line of `known_hosts` that was made up.
struct Known {
    marker: &'static str,
    hosts: &'static str,
    /// `None` for one that is not an Ed25519 key.
    key: Option<PublicKey>,
    text: String,
}

/// A line of `known_hosts`. A marker is followed by a blank: OpenSSH takes a tab there for a part of it.
fn known_line(random: &mut Random, ecdsa: &str) -> Known {
    let marker = pick(random, &["", "", "", "", "@revoked ", "@cert-authority "]);
    let hosts = pick(
        random,
        &[
            "db1",
            "DB1",
            "db2",
            "db1,db2",
            "db?",
            "*",
            "*,!db1",
            "!db2,db*",
            "[db1]:9001",
            "[db?]:9001",
            "10.0.0.1",
            "[2001:db8::1]:9001",
            "2001:db8::*",
            "!db1",
        ],
    );
    let key = Some(key(random.below(3) as u8)).filter(|_| random.below(5) > 0);
    let text = key.map_or_else(|| ecdsa.to_owned(), |key| key.to_string());
    let text =
        format!("{marker}{hosts}{}{text}{}\n", pick(random, &[" ", "\t", "  "]), pick(random, &["", " me"]));
    Known { marker, hosts, key, text }
}

/// The numbers of the lines that `ssh-keygen -F` finds for a host.
fn lines_about(host: &HostName, path: &Path) -> Vec<usize> {
    let found = ssh_keygen(["-F", &host.to_string(), "-f", path.to_str().unwrap()]);
    let comments = found.lines().filter_map(|line| line.strip_prefix("# Host "));
    comments
        .map(|line| line.split(' ').skip_while(|word| *word != "line").nth(1).unwrap().parse().unwrap())
        .collect()
}

/// What [`KnownHosts::verdict`] must say, going by the lines that are about the host.
fn expected(file: &[Known], about: &[usize], key: &PublicKey) -> Verdict {
    let (revoked, about): (Vec<_>, Vec<_>) =
        about.iter().map(|line| (*line, &file[line - 1])).partition(|(_, known)| known.marker == "@revoked ");
    if let Some((line, _)) = revoked.iter().find(|(_, known)| known.key == Some(*key)) {
        return Verdict::Revoked { line: *line };
    }
    if about.iter().any(|(_, known)| known.marker.is_empty() && known.key == Some(*key)) {
        return Verdict::Trusted;
    }
    match about.first() {
        Some((line, _)) => Verdict::Changed { line: *line, known: Vec::new() },
        None => Verdict::Unknown,
    }
}

/// The verdict without what the host is known by.
fn bare(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Changed { line, .. } => Verdict::Changed { line, known: Vec::new() },
        verdict => verdict,
    }
}

fn hosts() -> [HostName; 5] {
    [("db1", 9000), ("db2", 9000), ("db1", 9001), ("10.0.0.1", 9000), ("2001:db8::1", 9001)]
        .map(|(host, port)| HostName::new(host, port).unwrap())
}

#[test]
fn ssh_keygen_finds_the_same_lines_about_a_host() {
    let directory = TempDir::new().unwrap();
    let ecdsa = ecdsa_key(directory.path());
    let path = directory.path().join("known_hosts");
    for seed in 0..20 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        let file: Vec<_> = (0..random.below(8)).map(|_| known_line(&mut random, &ecdsa)).collect();
        let text: String = file.iter().map(|line| line.text.as_str()).collect();
        fs::write(&path, &text).unwrap();
        let known = KnownHosts::parse(text.as_bytes());
        for host in hosts() {
            let about = lines_about(&host, &path);
            for key in [key(0), key(1), key(9)] {
                let verdict = bare(known.verdict(&host, &key));
                assert_eq!(verdict, expected(&file, &about, &key), "{host} {key}\n{text}");
            }
        }
    }
}

/// The kind of verdict: hashing gives each name a line of its own.
fn kind(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Trusted => "trusted",
        Verdict::Unknown => "unknown",
        Verdict::Changed { .. } => "changed",
        Verdict::Unclear { .. } => "unclear",
        Verdict::Revoked { .. } => "revoked",
    }
}

#[test]
fn a_file_that_ssh_keygen_has_hashed_says_the_same() {
    let directory = TempDir::new().unwrap();
    let ecdsa = ecdsa_key(directory.path());
    let path = directory.path().join("known_hosts");
    let mut hashed_lines = 0;
    for seed in 0..20 {
        let _seed = SeedOnPanic(seed);
        let mut random = Random::new(seed);
        let mut file: Vec<_> = (0..8).map(|_| known_line(&mut random, &ecdsa)).collect();
        // A file with a line of these alone would stay as it is.
        file.retain(|line| !line.hosts.contains('*') || random.below(2) == 0);
        let text: String = file.iter().map(|line| line.text.as_str()).collect();
        fs::write(&path, &text).unwrap();
        ssh_keygen(["-H", "-f", path.to_str().unwrap()]);
        let hashed = fs::read_to_string(&path).unwrap();
        hashed_lines += hashed.lines().filter(|line| line.starts_with("|1|")).count();
        let (before, after) = (KnownHosts::parse(text.as_bytes()), KnownHosts::parse(hashed.as_bytes()));
        for host in hosts() {
            for key in [key(0), key(1), key(9)] {
                let (before, after) = (before.verdict(&host, &key), after.verdict(&host, &key));
                assert_eq!(kind(&before), kind(&after), "{host} {key}\n{text}\n{hashed}");
            }
        }
    }
    assert!(hashed_lines > 20, "only {hashed_lines} hashed lines");
}

#[test]
fn ssh_keygen_finds_the_lines_that_are_written_here() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("known_hosts");
    for (host, salt) in hosts().iter().zip(1..) {
        let lines = [line(host, &key(1), "me"), hashed_line(host, &key(1), [salt; 20])];
        fs::write(&path, lines.join("\n")).unwrap();
        assert_eq!(lines_about(host, &path), [1, 2], "{lines:?}");
    }
}
