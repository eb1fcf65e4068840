//! What a process has when its program begins, and what keeps it from beginning.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use common::job::Resource;

use super::*;

fn argv(words: &[&str]) -> Spec {
    let mut spec = Spec::new(Program::Argv(words.iter().map(|word| (*word).into()).collect()));
    spec.directory = Some("/".into());
    spec
}

/// A field of `/proc/self/status`, as the command sees it.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap().trim()
}

#[tokio::test]
async fn a_command_has_three_descriptors_and_nothing_of_the_server() {
    let containment = Containment::of_server();
    let _open = fs::File::open("/").unwrap();
    let listed = output_of(&argv(&["/bin/ls", "/proc/self/fd"]), &containment).await;
    // The fourth is the directory that is being listed.
    assert_eq!(listed, "0\n1\n2\n3\n");
    let status = output_of(&argv(&["/bin/cat", "/proc/self/status"]), &containment).await;
    for mask in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"] {
        assert_eq!(field(&status, mask), "0000000000000000", "{mask}");
    }
    let ids = output_of(&shell("set -- $(cat /proc/$$/stat); echo $1 $5 $6"), &containment).await;
    let ids: Vec<_> = ids.split_whitespace().collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "leader of a group and a session: {ids:?}");
}

#[tokio::test]
async fn a_command_has_its_own_environment_and_directory() {
    let containment = Containment::of_server();
    let mut spec = argv(&["/usr/bin/env"]);
    spec.environment = vec![Variable { name: "A".into(), value: "b c".into() }];
    spec.directory = Some("/usr/bin".into());
    let environment = output_of(&spec, &containment).await;
    let lines: Vec<_> = environment.lines().collect();
    assert!(lines.contains(&"A=b c") && lines.contains(&"PWD=/usr/bin"), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("TELEX_JOB_ID=test-")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:?}");
    let mut spec = argv(&["/bin/pwd"]);
    spec.directory = Some("/usr".into());
    assert_eq!(output_of(&spec, &containment).await, "/usr\n");
}

#[tokio::test]
async fn what_cannot_be_executed_says_why_and_leaves_nothing() {
    let containment = Containment::of_server();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str, mode| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let failure = |words: &[&str]| start(&argv(words), &containment).unwrap_err();
    assert!(matches!(failure(&["/no/such/program"]), StartFailure::NotFound { .. }));
    let interpreter = failure(&[&file("script", "#!/no/such/interpreter\n", 0o755)]);
    assert!(
        matches!(&interpreter, StartFailure::NotExecutable { reason, .. } if reason.contains("o such file")),
        "{interpreter}"
    );
    let data = failure(&[&file("data", "neither a script nor a program", 0o755)]);
    assert!(
        matches!(&data, StartFailure::NotExecutable { reason, .. } if reason.contains("format")),
        "{data}"
    );
    let denied = failure(&[&file("plain", "#!/bin/sh\n", 0o644)]);
    assert!(
        matches!(&denied, StartFailure::NotExecutable { reason, .. } if reason.contains("ermission")),
        "{denied}"
    );
    let long = "x".repeat(120_000);
    let words: Vec<_> = ["/bin/true"].into_iter().chain(std::iter::repeat_n(long.as_str(), 60)).collect();
    assert!(matches!(failure(&words), StartFailure::Invalid(_)));
    assert!(!children::is_own(Pid::from_raw(i32::MAX).unwrap()));
}

#[tokio::test]
async fn a_niceness_is_that_of_the_command_alone() {
    let containment = Containment::of_server();
    let before: i8 = output_of(&shell("nice"), &containment).await.trim().parse().unwrap();
    let mut spec = shell("nice");
    let wanted = (before + 3).min(19);
    spec.limits = ResourceLimits { nice: Some(wanted), ..ResourceLimits::default() };
    assert_eq!(output_of(&spec, &containment).await, format!("{wanted}\n"));
    assert_eq!(output_of(&shell("nice"), &containment).await, format!("{before}\n"));
}

#[tokio::test]
async fn memory_without_a_controller_is_address_space() {
    let containment = Containment::by_sweep(false);
    let mut spec = shell("ulimit -v; ulimit -u");
    spec.limits = ResourceLimits { memory: Some(64 << 20), ..ResourceLimits::default() };
    let limits = output_of(&spec, &containment).await;
    assert_eq!(limits.lines().next(), Some("65536"), "{limits}");
    assert_ne!(output_of(&shell("ulimit -v"), &containment).await, "65536\n");
}

#[tokio::test]
async fn a_limit_that_nothing_can_keep_starts_nothing() {
    let containment = Containment::by_sweep(false);
    let mut spec = shell("true");
    spec.limits = ResourceLimits { cpu_percent: Some(50), ..ResourceLimits::default() };
    let failure = start(&spec, &containment).unwrap_err();
    let expected =
        StartFailure::Limit { limit: Resource::Cpu, reason: "the server has no cgroups".to_owned() };
    assert_eq!(failure, expected);
    spec.limits = ResourceLimits { memory: Some(0), ..ResourceLimits::default() };
    assert!(matches!(start(&spec, &containment).unwrap_err(), StartFailure::Invalid(_)));
}

#[tokio::test]
async fn a_login_shell_is_the_accounts_and_is_told_so_by_its_name() {
    let containment = Containment::of_server();
    let mut spec = Spec::new(Program::LoginShell);
    spec.stdin = true;
    let Spawned { mut process, stdin, stdout, .. } = start(&spec, &containment).unwrap();
    let mut stdin = fs::File::from(stdin.unwrap());
    stdin.write_all(b"echo $0; readlink /proc/$$/exe; exit\n").unwrap();
    process.exited().await.unwrap();
    let mut text = String::new();
    fs::File::from(stdout).read_to_string(&mut text).unwrap();
    process.reap().unwrap();
    let shell = account().shell.canonicalize().unwrap();
    assert_eq!(text, format!("-bash\n{}\n", shell.display()));
}
