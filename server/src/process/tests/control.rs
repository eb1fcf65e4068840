//! What a process has of its control descriptors when its program begins.

use super::terminal::read_to_end;
use super::*;

/// What comes out of a descriptor until its end.
fn all_of(descriptor: OwnedFd) -> String {
    // One that does not wait becomes one that does.
    rustix::io::ioctl_fionbio(&descriptor, false).unwrap();
    let mut text = String::new();
    fs::File::from(descriptor).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_command_reads_what_it_is_told_and_reports_beside_its_output() {
    let containment = Containment::of_server();
    let extras = Extras { terminal: None, control: true };
    let spec = shell("echo report >&9; ls -1 /proc/self/fd; exec 9>&-; read line; echo $line; echo bad >&2");
    let Spawned { mut process, stdin, stdout, stderr, control } =
        start_with(&extras, &spec, &containment).unwrap();
    assert!(stdin.is_none());
    let ControlEnds { commands, reports } = control.unwrap();
    rustix::io::write(&commands, b"told\n").unwrap();
    // The 3 is the directory that is being listed.
    assert_eq!(all_of(stdout), "0\n1\n2\n3\n9\ntold\n");
    assert_eq!((&*all_of(stderr.unwrap()), &*all_of(reports)), ("bad\n", "report\n"));
    process.exited().await.unwrap();
    process.reap().unwrap();
}

#[tokio::test]
async fn on_a_terminal_it_is_told_beside_what_is_typed() {
    let containment = Containment::of_server();
    let extras = Extras { terminal: Some(Terminal::default()), control: true };
    let text = "set -- $(cat /proc/$$/stat); [ $1 = $8 ] && [ $1 = $6 ] && echo leads >&9
        read told; read typed </dev/tty; echo $told $typed; stty -F /dev/stdout -echo; readlink /proc/$$/fd/0 | cut -c1-5";
    let Spawned { mut process, stdin, stdout, stderr, control } =
        start_with(&extras, &shell(text), &containment).unwrap();
    assert!(stderr.is_none());
    let ControlEnds { commands, reports } = control.unwrap();
    rustix::io::write(&commands, b"told\n").unwrap();
    rustix::io::write(stdin.unwrap(), b"typed\n").unwrap();
    // What is typed is shown first.
    assert_eq!(read_to_end(&stdout), "typed\r\ntold typed\r\npipe:\r\n");
    assert_eq!(all_of(reports), "leads\n");
    process.exited().await.unwrap();
    process.reap().unwrap();
}

#[tokio::test]
async fn others_have_nothing_of_it() {
    let containment = Containment::of_server();
    let extras = Extras { terminal: None, control: true };
    let controlled = start_with(&extras, &shell("exec sleep 1000"), &containment).unwrap();
    let listed = output_of(&shell("ls -1 /proc/self/fd"), &containment).await;
    assert_eq!(listed, "0\n1\n2\n3\n");
    drop(controlled);
}

#[tokio::test]
async fn without_a_terminal_there_is_no_other_stdin() {
    let extras = Extras { terminal: None, control: true };
    let spec = Spec { stdin: true, ..shell("true") };
    let failure = start_with(&extras, &spec, &Containment::of_server()).unwrap_err();
    assert!(matches!(failure, StartFailure::Invalid(_)), "{failure:?}");
}
