//! Both ways to start a process, side by side.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;

use rustix::pipe::{PipeFlags, pipe_with};

use super::start as start_best;
use super::*;
use crate::process::terminal::Pty;
use crate::process::tests::terminal::read_to_end;

/// What `words` write to stdout, started by `start` with the descriptors that `stdio` makes of that pipe.
fn output(
    start: impl Fn(&Image<'_>) -> Result<Born, Failure>,
    words: &[&str],
    stdio: impl for<'a> Fn(BorrowedFd<'a>, BorrowedFd<'a>) -> [BorrowedFd<'a>; 3],
) -> String {
    let arguments: Vec<_> = words.iter().map(|word| CString::new(*word).unwrap()).collect();
    let root = fs::File::open("/").unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let image = Image {
        program: &arguments[0],
        arguments: &arguments,
        environment: &[c"A=b".to_owned()],
        directory: root.as_fd(),
        stdio: stdio(null.as_fd(), theirs.as_fd()),
        control: None,
        terminal: false,
        cgroup: None,
        restraints: Restraints::default(),
    };
    let born = start(&image).unwrap();
    drop(theirs);
    let mut text = String::new();
    fs::File::from(ours).read_to_string(&mut text).unwrap();
    wait_for(born.id);
    text
}

#[test]
fn a_program_finds_the_same_however_it_was_started() {
    for words in [
        &["/bin/readlink", "/proc/self/fd/0", "/proc/self/cwd"][..],
        &["/bin/ls", "/proc/self/fd"],
        // Not what is ignored: glibc leaves its own two signals so.
        &["/bin/grep", "-E", "^(Sig|Shd)(Pnd|Blk)", "/proc/self/status"],
        &["/usr/bin/env"],
        &["/bin/sh", "-c", "set -- $$ $(cat /proc/$$/stat); [ $1 = $6 ] && [ $1 = $7 ] && echo leader"],
    ] {
        let outputs = [start_best, posix_spawn::start]
            .map(|start| output(start, words, |null, pipe| [null, pipe, pipe]));
        assert!(!outputs[0].is_empty());
        assert_eq!(outputs[0], outputs[1], "{words:?}");
    }
}

#[test]
fn the_same_step_fails_for_the_same_reason() {
    let program = c"/no/such/program";
    let root = fs::File::open("/").unwrap();
    let image = Image {
        program,
        arguments: &[],
        environment: &[],
        directory: root.as_fd(),
        stdio: [root.as_fd(); 3],
        control: None,
        terminal: false,
        cgroup: None,
        restraints: Restraints::default(),
    };
    for start in [start_best, posix_spawn::start] {
        let failure = start(&image).unwrap_err();
        assert_eq!((failure.step, failure.error.kind()), (Step::Execute, io::ErrorKind::NotFound));
    }
}

#[test]
fn a_descriptor_that_is_in_the_way_is_not_lost() {
    if !can_restrain() {
        return;
    }
    // Our own descriptor 0 becomes the program's 2, and something else its 0.
    let words = ["/bin/readlink", "/proc/self/fd/2", "/proc/self/fd/0"];
    let stdin = rustix::stdio::stdin();
    let own = fs::read_link("/proc/self/fd/0").unwrap();
    let found = output(start_best, &words, |null, pipe| [null, pipe, stdin]);
    assert_eq!(found, format!("{}\n/dev/null\n", own.display()));
}

#[test]
fn a_terminal_is_the_controlling_one_however_a_program_was_started() {
    let script = "set -- $(cat /proc/$$/stat); [ $1 = $8 ] && [ $1 = $6 ] && echo leader; ls -1 /proc/self/fd; echo x >/dev/tty";
    let arguments = ["/bin/sh", "-c", script].map(|word| CString::new(word).unwrap());
    let root = fs::File::open("/").unwrap();
    for start in [start_best, posix_spawn::start] {
        let Pty { master, slave } = Pty::open(&common::job::Terminal::default()).unwrap();
        let image = Image {
            program: &arguments[0],
            arguments: &arguments,
            environment: &[c"PATH=/bin:/usr/bin".to_owned()],
            directory: root.as_fd(),
            stdio: [slave.as_fd(); 3],
            control: None,
            terminal: true,
            cgroup: None,
            restraints: Restraints::default(),
        };
        let born = start(&image).unwrap();
        drop(slave);
        assert_eq!(read_to_end(&master), "leader\r\n0\r\n1\r\n2\r\n3\r\nx\r\n");
        wait_for(born.id);
    }
}

#[test]
fn a_program_has_its_control_descriptor_and_no_other_however_it_was_started() {
    let root = fs::File::open("/").unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    // Its number is in the way of others, right already, or neither; what is started finds the same.
    for number in [3, 5, 9, 10, 200] {
        for start in [start_best, posix_spawn::start] {
            let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            let taken = rustix::io::fcntl_dupfd_cloexec(&theirs, number).unwrap();
            let script = "echo out; exec 1>&9 9>&-; ls -1 /proc/self/fd";
            let arguments = ["/bin/sh", "-c", script].map(|word| CString::new(word).unwrap());
            let (output, written) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            let image = Image {
                program: &arguments[0],
                arguments: &arguments,
                environment: &[c"PATH=/bin:/usr/bin".to_owned()],
                directory: root.as_fd(),
                stdio: [null.as_fd(), written.as_fd(), null.as_fd()],
                control: Some(taken.as_fd()),
                terminal: false,
                cgroup: None,
                restraints: Restraints::default(),
            };
            let born = start(&image).unwrap();
            drop((theirs, taken, written));
            let (mut out, mut listed) = (String::new(), String::new());
            fs::File::from(output).read_to_string(&mut out).unwrap();
            fs::File::from(ours).read_to_string(&mut listed).unwrap();
            // The last is the directory that is being listed.
            assert_eq!((&*out, &*listed), ("out\n", "0\n1\n2\n3\n"), "{number}");
            wait_for(born.id);
        }
    }
}
