//! TLS 1.2 is not there to be negotiated: no crate of the workspace switches it on.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::process::Command;

/// The features that cargo would build with.
fn features(of: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--offline", "--locked", "--prefix", "none", "--edges", "features"]).args(of);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tls12_is_not_compiled_in() {
    for of in [&["--package", "common"][..], &["--workspace"]] {
        let features = features(of);
        let has = |feature: &str| {
            features.lines().any(|line| line.contains(&format!("rustls feature \"{feature}\"")))
        };
        assert!(has("std"), "the library is named otherwise by now:\n{features}");
        assert!(!has("tls12"), "{features}");
    }
}
