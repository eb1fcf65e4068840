//! Private keys of ours in the hands of OpenSSH's programs, and theirs in ours.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::keys::{PrivateKey, PrivateKeyError, PublicKey, Trust, create_private, read_private};
use tempfile::TempDir;

const PASSPHRASE: &str = "correct horse";

/// Runs one of OpenSSH's programs, which has to succeed.
fn run(program: &str, arguments: &[&str]) -> Output {
    let run = Command::new(program).args(arguments).output();
    let output = run.map_err(|error| format!("{program} (of openssh-client) is needed: {error}")).unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Has a key made with these options of `ssh-keygen`.
fn keygen(directory: &TempDir, options: &[&str]) -> PathBuf {
    let path = directory.path().join("key");
    let fixed = ["-q", "-C", "ann@example", "-f", path.to_str().unwrap()];
    run("ssh-keygen", &[&fixed, options].concat());
    path
}

/// Reads a key as the client and the server do.
fn read(path: &Path, passphrase: Option<&str>) -> Result<PrivateKey, PrivateKeyError> {
    let text = read_private(path, &Trust::current()).unwrap().unwrap();
    PrivateKey::from_openssh(&text, passphrase.map(str::as_bytes))
}

fn public(path: &Path) -> PublicKey {
    fs::read_to_string(path.with_extension("pub")).unwrap().parse().unwrap()
}

#[test]
fn a_key_of_ours_is_read_by_ssh_keygen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let key = PrivateKey::generate().unwrap();
    // Every length of the padding.
    for comment in ["", "a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg"] {
        create_private(&path, key.to_openssh(comment).as_bytes()).unwrap();
        let line = run("ssh-keygen", &["-y", "-f", path.to_str().unwrap()]).stdout;
        let expected = format!("{} {comment}", key.public());
        assert_eq!(String::from_utf8(line).unwrap().trim_end(), expected.trim_end());
        let line = run("ssh-keygen", &["-l", "-f", path.to_str().unwrap()]).stdout;
        assert!(String::from_utf8(line).unwrap().contains(&key.public().fingerprint().to_string()));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_key_of_ours_is_taken_by_an_agent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let key = PrivateKey::generate().unwrap();
    create_private(&path, key.to_openssh("ann@example").as_bytes()).unwrap();
    let script = r#"ssh-add -q "$0" && ssh-add -L"#;
    let listed = run("ssh-agent", &["sh", "-c", script, path.to_str().unwrap()]).stdout;
    assert_eq!(String::from_utf8(listed).unwrap(), format!("{} ann@example\n", key.public()));
}

#[test]
fn a_key_of_ssh_keygen_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = keygen(&directory, &["-t", "ed25519", "-N", ""]);
    let key = read(&path, None).unwrap();
    assert_eq!((key.public(), key.comment()), (public(&path), "ann@example"));
}

#[test]
fn a_key_behind_a_passphrase_is_read_whatever_protects_it() {
    for cipher in [
        "aes256-ctr",
        "aes128-cbc",
        "aes192-ctr",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ] {
        let directory = tempfile::tempdir().unwrap();
        // One round, for a test that is no faster for more.
        let path = keygen(&directory, &["-t", "ed25519", "-a", "1", "-Z", cipher, "-N", PASSPHRASE]);
        let key = read(&path, Some(PASSPHRASE)).unwrap();
        assert_eq!((key.public(), key.comment()), (public(&path), "ann@example"), "{cipher}");
        assert_eq!(read(&path, None).unwrap_err(), PrivateKeyError::Encrypted, "{cipher}");
        assert_eq!(read(&path, Some("wrong")).unwrap_err(), PrivateKeyError::WrongPassphrase, "{cipher}");
    }
}

#[test]
fn a_passphrase_is_checked_with_the_rounds_that_ssh_keygen_chooses() {
    let directory = tempfile::tempdir().unwrap();
    let path = keygen(&directory, &["-t", "ed25519", "-N", PASSPHRASE]);
    assert_eq!(read(&path, Some(PASSPHRASE)).unwrap().public(), public(&path));
}

#[test]
fn a_cipher_of_the_past_is_named_before_a_passphrase_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = keygen(&directory, &["-t", "ed25519", "-a", "1", "-Z", "3des-cbc", "-N", PASSPHRASE]);
    assert_eq!(read(&path, None).unwrap_err(), PrivateKeyError::Cipher { cipher: "3des-cbc" });
}

#[test]
fn other_algorithms_are_named_before_a_passphrase_is_asked_for() {
    for (options, algorithm) in [
        (["-t", "rsa", "-b", "1024", "-m", "RFC4716"], "ssh-rsa"),
        (["-t", "rsa", "-b", "1024", "-m", "PEM"], "ssh-rsa"),
        (["-t", "ecdsa", "-b", "256", "-m", "RFC4716"], "ecdsa-sha2-nistp256"),
        (["-t", "ecdsa", "-b", "256", "-m", "PEM"], "ecdsa"),
    ] {
        for protection in [["-a", "1", "-N", ""], ["-a", "1", "-N", PASSPHRASE]] {
            let directory = tempfile::tempdir().unwrap();
            let path = keygen(&directory, &[options.as_slice(), &protection].concat());
            let expected = PrivateKeyError::Algorithm { algorithm: algorithm.to_owned() };
            assert_eq!(read(&path, None).unwrap_err(), expected, "{options:?} {protection:?}");
        }
    }
}
