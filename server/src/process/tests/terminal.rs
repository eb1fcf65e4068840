//! What a process has of its terminal when its program begins, and what is left of it in the end.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Instant;

use common::job::WindowSize;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};

use super::super::terminal::Pty;
use super::*;

/// How long any of these commands may take.
const DEADLINE: Duration = Duration::from_secs(20);

fn terminal() -> Terminal {
    let size = WindowSize { rows: 33, columns: 101, width: 800, height: 600 };
    Terminal { name: "xterm-256color".into(), size, modes: Vec::new() }
}

/// What is read of a master until nobody has the terminal open any more.
pub(crate) fn read_to_end(master: &OwnedFd) -> String {
    let (mut text, begun) = (Vec::new(), Instant::now());
    let mut buffer = [0; 4096];
    loop {
        assert!(begun.elapsed() < DEADLINE, "still open: {}", String::from_utf8_lossy(&text));
        match read(master, &mut buffer) {
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(Errno::AGAIN) => {
                let mut polled = [PollFd::new(master, PollFlags::IN)];
                poll(&mut polled, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
            }
            Err(Errno::IO) => return String::from_utf8(text).unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// What the command writes on its terminal, line by line.
async fn lines_of(spec: &Spec, containment: &Arc<Containment>) -> Vec<String> {
    let Spawned { mut process, stdin, stdout, stderr, .. } =
        start_on(Some(&terminal()), spec, containment).unwrap();
    assert!(stdin.is_some() && stderr.is_none());
    let text = read_to_end(&stdout);
    process.exited().await.unwrap();
    process.reap().unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_command_finds_the_terminal_that_was_asked_for() {
    let containment = Containment::of_server();
    let spec = shell("tty; stty size; echo $TERM; stty -a | grep -o -- '-*iutf8'; ls -1 /proc/self/fd");
    let lines = lines_of(&spec, &containment).await;
    assert!(lines[0].starts_with("/dev/pts/"), "{lines:?}");
    // The last is the directory that is being listed.
    assert_eq!(lines[1..], ["33 101", "xterm-256color", "iutf8", "0", "1", "2", "3"]);
}

#[tokio::test]
async fn it_is_the_controlling_terminal_with_the_command_in_its_foreground() {
    let containment = Containment::of_server();
    // The process, its group, its session, and the group in the foreground of its terminal.
    let spec = shell("set -- $(cat /proc/$$/stat); echo $1 $5 $6 $8; echo there >/dev/tty");
    let lines = lines_of(&spec, &containment).await;
    let ids: Vec<_> = lines[0].split_whitespace().collect();
    assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0]), "{lines:?}");
    assert_eq!(lines[1..], ["there"]);
}

#[test]
fn nobody_else_may_write_to_a_terminal() {
    let Pty { master, slave } = Pty::open(&terminal()).unwrap();
    let metadata =
        fs::metadata(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&slave))).unwrap();
    assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    drop(slave);
    assert_eq!(read_to_end(&master), "");
}

#[tokio::test]
async fn a_terminal_without_a_name_is_dumb_and_a_wrong_one_starts_nothing() {
    let containment = Containment::of_server();
    let unknown = Terminal::default();
    let Spawned { mut process, stdout, .. } =
        start_on(Some(&unknown), &shell("echo $TERM; stty size"), &containment).unwrap();
    assert_eq!(read_to_end(&stdout), "dumb\r\n0 0\r\n");
    process.exited().await.unwrap();
    process.reap().unwrap();
    let wrong = Terminal { name: "a b".into(), ..Terminal::default() };
    let failure = start_on(Some(&wrong), &shell("true"), &containment).unwrap_err();
    assert!(matches!(failure, StartFailure::Invalid(_)), "{failure:?}");
}

#[tokio::test]
async fn nothing_is_left_of_many_terminals() {
    let containment = Containment::of_server();
    let (spec, mut highest) = (shell("tty"), 0);
    for _ in 0..200 {
        let lines = lines_of(&spec, &containment).await;
        let number: u32 = lines[0].strip_prefix("/dev/pts/").unwrap().parse().unwrap();
        highest = highest.max(number);
    }
    // The lowest number is given that is free; others have terminals meanwhile, but not so many.
    assert!(highest < 150, "{highest}");
}
