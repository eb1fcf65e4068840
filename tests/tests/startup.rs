//! The client starts without Rust's own runtime. What that would have seen to, the client sees to.

use tests::{Ran, Sandbox, TestServer};

#[test]
fn closed_standard_descriptors_are_nobody_elses() {
    let server = TestServer::start();
    // Were one of them taken by a socket or a file, output would go there, or its input would come from there.
    for (closed, output, errors) in [
        ("<&-", "out", "err"),
        (">&-", "", "err"),
        ("2>&-", "out", ""),
        ("<&- >&-", "", "err"),
        ("<&- 2>&-", "out", ""),
        (">&- 2>&-", "", ""),
        ("<&- >&- 2>&-", "", ""),
    ] {
        let script = format!("$CLIENT run 'cat; printf out; printf err >&2; exit 3' {closed}");
        let ran = Ran::of(&mut server.script("/bin/sh", &script)).exits(3);
        assert_eq!((ran.text().as_str(), ran.errors().as_str()), (output, errors), "{closed}");
    }
}

#[test]
fn a_reader_that_has_gone_does_not_kill_the_client() {
    let server = TestServer::start();
    let command = "trap \"\" PIPE; yes 2>/dev/null; exit 9";
    let script = format!("{{ $CLIENT run '{command}'; echo $? >&2; }} | head -n 1");
    let ran = Ran::of(&mut server.script("/bin/sh", &script)).exits(0);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("y\n", "9\n"));
}

#[test]
fn a_private_servers_commands_get_no_signal_settings_of_the_clients() {
    let sandbox = Sandbox::new();
    let ran = Ran::of(sandbox.client().args(["--embedded", "run", "-n", "cat /proc/self/status"])).exits(0);
    let text = ran.text();
    let mask = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(value.trim(), 16).unwrap()
    };
    let broken_pipe = 1 << (13 - 1);
    assert_eq!((mask("SigBlk:"), mask("SigIgn:") & broken_pipe), (0, 0), "{text}");
}

#[test]
fn a_version_that_cannot_be_written_is_a_failure() {
    let sandbox = Sandbox::new();
    let ran = Ran::of(&mut sandbox.script("/bin/sh", "$CLIENT --version >/dev/full")).exits(125);
    assert!(ran.errors().ends_with("cannot write to stdout: no space left on device\n"), "{ran:?}");
}
