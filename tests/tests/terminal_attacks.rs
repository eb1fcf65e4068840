//! What a command can do to terminals: its own is its own, and what it types there reaches nobody else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use client::{Bytes, Client, Job, Stdin};
use common::job::{Outcome, Terminal};
use tests::{DEADLINE, Screen, TestServer, wait_until, within};

/// Types a line into the terminal that is this program's stdin (TIOCSTI), or into one that it is given the path of.
const TYPE_INTO: &str = r#"
import fcntl, os, sys, termios
try:
    terminal = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY) if len(sys.argv) > 1 else 0
    for byte in b"echo inje''cted\n":
        fcntl.ioctl(terminal, termios.TIOCSTI, bytes([byte]))
    print("typed")
except OSError as error:
    print("refused:", error.strerror)
print("do" + "ne")
"#;

async fn shell(client: &Client) -> Job {
    let mut command = client.command("sh");
    command.arg("-i").env("PS1", "> ").env("ENV", "").terminal(Terminal::default()).stdin(Stdin::Piped);
    within("it starts", command.spawn()).await.unwrap()
}

async fn types(job: &Job, line: &str) {
    assert!(job.stdin.as_ref().unwrap().write(Bytes::from(line.to_owned())).await);
}

/// What it shows until there is `text`.
async fn shows(job: &mut Job, text: &str) -> String {
    let (mut shown, output) = (String::new(), job.stdout.as_mut().unwrap());
    while !shown.contains(text) {
        let more = within(&format!("{text:?} behind {shown:?}"), output.next()).await.unwrap();
        shown.push_str(&String::from_utf8_lossy(&more));
    }
    shown
}

/// Ends it; all that it has shown since.
async fn ends(mut job: Job) -> String {
    types(&job, "exit 0\n").await;
    let shown = within("it ends", job.stdout.as_mut().unwrap().read_to_end()).await;
    assert_eq!(within("its outcome", job.wait()).await.unwrap().outcome, Outcome::Exited(0));
    String::from_utf8_lossy(&shown).into_owned()
}

#[tokio::test]
async fn what_a_command_types_into_its_terminal_reaches_no_other() {
    let server = TestServer::start();
    let client = server.connect().await;
    let mut bystander = shell(&client).await;
    shows(&mut bystander, "> ").await;
    let script = server.file("type_into.py", TYPE_INTO);
    let mut attacker = shell(&client).await;
    types(&attacker, &format!("python3 {}\n", script.display())).await;
    // Where the system has that call, it goes into the attacker's own terminal, as on every terminal.
    let shown = shows(&mut attacker, "done\r\n").await;
    if shown.contains("typed") && !shown.contains("injected\r\n") {
        shows(&mut attacker, "injected\r\n").await;
    }
    assert!(shown.contains("typed") != shown.contains("refused:"), "{shown}");
    ends(attacker).await;
    let shown = ends(bystander).await;
    assert!(!shown.contains("inje"), "{shown}");
    assert!(!server.log().contains("inje"), "{}", server.log());
    assert!(!server.run([format!("python3 {} /dev/tty", script.display())]).text().contains("typed"));
}

#[tokio::test]
async fn the_server_and_other_jobs_have_terminals_of_their_own() {
    let server = TestServer::start();
    let client = server.connect().await;
    let (mut one, mut other) = (shell(&client).await, shell(&client).await);
    let terminal =
        |shown: &str| shown.lines().find(|line| line.starts_with("/dev/pts/")).unwrap().trim_end().to_owned();
    for job in [&one, &other] {
        types(
            job,
            "tty; stat -Lc '%a %u' $(tty); ps -o sid= -p $$ | xargs test $$ -eq && echo leads; echo do''ne\n",
        )
        .await;
    }
    let shown = [shows(&mut one, "done").await, shows(&mut other, "done").await];
    let uid = rustix::process::geteuid().as_raw();
    for shown in &shown {
        assert!(shown.contains(&format!("600 {uid}\r\n")) && shown.contains("leads\r\n"), "{shown}");
    }
    assert_ne!(terminal(&shown[0]), terminal(&shown[1]));
    // The server's end of neither is among what a command has.
    types(&one, "ls -l /proc/self/fd; echo do''ne\n").await;
    let listed = shows(&mut one, "done").await;
    assert!(!listed.contains("ptmx") && listed.matches(" -> ").count() == 4, "{listed}");
    ends(one).await;
    ends(other).await;
}

#[test]
fn a_command_never_gets_the_terminal_that_the_client_is_on() {
    let server = TestServer::start();
    let mut screen = Screen::new(24, 80);
    let own = screen.path().display().to_string();
    let command =
        format!("test $(tty) != {own} && ls -l /proc/self/fd; echo through > /dev/tty; echo do''ne");
    let mut client = screen.start(&server, server.client().args(["run", "-t", &command]));
    screen.wait_for("done");
    let shown = screen.text();
    assert!(shown.contains("through") && shown.contains(" -> /dev/pts/"), "{shown}");
    assert!(!shown.lines().any(|line| line.ends_with(&format!("-> {own}"))), "{shown}");
    wait_until("the client ends", DEADLINE, || client.try_wait().unwrap().is_some());
}

#[tokio::test]
async fn what_a_command_writes_on_a_raw_terminal_is_passed_on_as_it_is() {
    let server = TestServer::start();
    let client = server.connect().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let file = server.file("bytes", &bytes);
    let mut command = client.shell(format!("stty raw -echo; cat {}", file.display()));
    let output = within("it ends", command.terminal(Terminal::default()).output()).await.unwrap();
    assert!(output.stdout == bytes, "bytes were changed");
}
