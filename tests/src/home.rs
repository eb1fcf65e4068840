//! A test in a process of its own, for what the library does with files of the user whose process it is in.

use std::env;
use std::process::Command;

/// Says in the process that it is the one.
const VARIABLE: &str = "TELEX_TEST_HOME";

/// Whether this process has a home of its own, with all temporary files in it: nobody else can write to a directory above them, so
/// that the library takes what it finds there, as it has to when it connects again over TCP. If it has none, the test of this name
/// is run in one that has, and has to pass there.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn has_own_home(test: &str) -> bool {
    if env::var_os(VARIABLE).is_some() {
        return true;
    }
    let home = tempfile::tempdir().unwrap();
    let mut own = Command::new(env::current_exe().unwrap());
    own.args(["--exact", test, "--nocapture"]);
    own.env("HOME", home.path()).env("TMPDIR", home.path()).env(VARIABLE, "");
    let output = own.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}
