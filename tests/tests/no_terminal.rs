//! `run -t` where there is no terminal.

use tests::TestServer;

#[test]
fn asked_for_once_there_is_none_and_that_is_said() {
    let server = TestServer::start();
    let ran = server.run(["-t", "echo here; tty"]).exits(1);
    assert_eq!(ran.text(), "here\nnot a tty\n");
    assert_eq!(ran.errors(), "client: no terminal here: the command gets none (-tt gives it one)\n");
    assert_eq!(server.run(["-tq", "echo here"]).exits(0).errors(), "");
}

#[test]
fn asked_for_twice_the_command_ends_as_any_other() {
    let server = TestServer::start();
    let ran = server.run(["-tt", "echo here; exit 3"]).exits(3);
    assert_eq!((ran.text().trim_end(), ran.errors().as_str()), ("here", ""));
}

#[test]
fn a_command_that_lets_go_of_its_terminal_before_it_exits_is_not_hung_up() {
    let server = TestServer::start();
    let script = "exec <&- >&- 2>&-; sleep 0.3; exit 5";
    server.run(["-tt", "-n", script]).exits(5);
}
