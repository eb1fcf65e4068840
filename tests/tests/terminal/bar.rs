//! A line that is lost while a command has the terminal: a bar says so, and nothing is left of it afterwards.

use tests::proxy::{Mode, Proxy};
use tests::{Screen, TestServer};

use super::Session;

/// A command on a screen, through a proxy that can cut the line.
struct Line {
    proxy: Proxy,
    session: Session,
    server: TestServer,
}

impl Line {
    /// `client run -t ARGUMENTS`.
    fn run(arguments: &[&str]) -> Self {
        let server = TestServer::start();
        let proxy = Proxy::start(server.address().parse().unwrap());
        let mut client = server.bare_client();
        client.args(["-H", &proxy.address().to_string(), "run", "-t"]).args(arguments);
        let session = Session::start(&server, &client);
        Self { proxy, session, server }
    }

    fn screen(&mut self) -> &mut Screen {
        &mut self.session.screen
    }

    /// Cuts the line, and waits for the bar to be there and to be kept up to date.
    #[track_caller]
    fn cut(&mut self) {
        self.proxy.set_coming(Mode::Cut);
        self.proxy.set_open(Mode::Cut);
        self.screen().wait_for("client: line to ");
        let first = self.screen().text();
        self.screen().wait_until("another time", |screen| {
            screen.contents().contains("client: line to ") && screen.contents() != first
        });
    }

    fn mend(&self) {
        self.proxy.set_coming(Mode::Pass);
    }

    #[track_caller]
    fn is_back(&mut self) {
        self.mend();
        self.screen().wait_until("no bar", |screen| !screen.contents().contains("client: "));
    }
}

/// Whether the last row is a bar.
fn has_bar(screen: &vt100::Screen) -> bool {
    let (rows, _) = screen.size();
    screen.cell(rows.get() - 1, 0).is_some_and(vt100::Cell::inverse)
}

#[test]
fn it_is_over_the_last_row_of_an_editor_which_is_as_before_once_it_is_gone() {
    let mut line = Line::run(&["--", "vim", "-u", "NONE", "-i", "NONE", "-n"]);
    line.screen().wait_until("vim", |screen| screen.contents().contains("\n~"));
    line.screen().keys(b"ihello");
    line.screen().wait_until("the text", |screen| screen.contents().starts_with("hello\n~"));
    line.screen().keys(b"\x1b");
    line.screen().wait_until("the mode", |screen| {
        screen.cursor_position() == (0, 4) && !screen.contents().contains("INSERT")
    });
    let before = line.screen().text();
    for _ in 0..2 {
        line.cut();
        line.screen().wait_until("a bar where the cursor is not", |screen| {
            has_bar(screen) && screen.cursor_position() == (0, 4)
        });
        line.is_back();
        line.screen().wait_until("what was there before", |screen| {
            screen.contents() == before && screen.cursor_position() == (0, 4) && !has_bar(screen)
        });
    }
    // What is typed meanwhile goes.
    line.cut();
    line.screen().keys(b"a there");
    line.is_back();
    line.screen().wait_until("what was typed", |screen| screen.contents().starts_with("hello there\n~"));
    line.screen().keys(b"\x1b");
    line.screen().keys(b":q!\r");
    line.session.exits(0);
}

#[test]
fn top_goes_on_with_a_whole_screen() {
    let mut line = Line::run(&["--", "top", "-d", "0.3"]);
    line.screen().wait_until("all of it", |screen| {
        screen.contents().starts_with("top - ") && screen.contents().contains("PID USER")
    });
    line.cut();
    line.screen().resize(20, 90);
    line.is_back();
    line.screen().wait_until("a whole screen", |screen| {
        let contents = screen.contents();
        contents.starts_with("top - ") && contents.matches("PID USER").count() == 1 && !has_bar(screen)
    });
    line.screen().keys(b"q");
    let text = line.session.exits(0);
    assert!(!text.contains("client: "), "{text}");
}

#[test]
fn it_is_a_line_of_its_own_where_lines_are_written_wherever_the_cursor_is() {
    for lines in [1, 23, 40] {
        let text =
            format!("seq {lines}; printf 'name: '; stty -echo; read -r line; echo \"got $line\"; exit 4");
        let mut line = Line::run(&["--", "bash", "-c", &text]);
        line.screen().wait_for("name: ");
        let column = line.screen().cursor().1;
        line.cut();
        line.screen().wait_until("the cursor in its line, and the bar below", |screen| {
            let (row, at) = screen.cursor_position();
            let (_, columns) = screen.size();
            let lines: Vec<String> = screen.rows(0, columns.get()).skip(row.into()).collect();
            at == column && lines[0].starts_with("name: ") && lines[1].starts_with("client: line to ")
        });
        line.screen().keys(b"word\r");
        line.is_back();
        line.screen().wait_for("got word");
        let text = line.session.exits(4);
        assert!(
            text.ends_with(&format!("{lines}\nname: \ngot word"))
                || text.ends_with(&format!("{lines}\nname: got word")),
            "{text}"
        );
        assert!(!text.contains("client: "), "{text}");
    }
}

#[test]
fn the_user_can_leave_meanwhile() {
    let mut line = Line::run(&["printf '\\033[?1049hinside'; exec sleep 1000"]);
    line.screen().wait_for("inside");
    line.cut();
    line.screen().keys(b"~.");
    let text = line.session.exits(130);
    assert!(text.contains("while the line is down") && !text.contains("client: line to"), "{text}");
    drop(line.server);
}

#[test]
fn who_wants_it_quiet_sees_nothing_of_it() {
    let mut line = Line::run(&["-q", "--", "vim", "-u", "NONE", "-i", "NONE", "-n"]);
    line.screen()
        .wait_until("vim", |screen| screen.contents().starts_with('~') || screen.contents().contains("\n~"));
    let before = line.screen().text();
    line.proxy.set_coming(Mode::Cut);
    line.proxy.set_open(Mode::Cut);
    line.proxy.wait_until("it tries again and again", |observed| observed.connections > 4);
    assert_eq!(line.screen().text(), before);
    line.mend();
    line.screen().keys(b":q!\r");
    line.session.exits(0);
}
