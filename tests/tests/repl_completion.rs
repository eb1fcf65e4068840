//! Tab at the prompt: what the server has, written as its shell takes it; and a prompt that waits for nobody.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tests::proxy::{Mode, Proxy};
use tests::{DEADLINE, Repl, TestServer};

/// Somebody at a prompt, in a directory of the server's.
struct Tabs {
    repl: Repl,
    there: PathBuf,
    _server: TestServer,
}

impl Tabs {
    #[track_caller]
    fn start(shell: &str) -> Self {
        let server = TestServer::start();
        let there = server.directory("there", 0o755);
        let mut repl = Repl::with(&server, server.address(), "[prompt]\nformat = \"{host}$ \"", |command| {
            command.args(["repl", "--shell", shell]);
        });
        repl.line(&format!("cd '{}'; echo in-$((1 + 1))", there.display()), "in-2");
        Self { repl, there, _server: server }
    }

    fn file(&self, name: &str, content: &str) {
        fs::write(self.there.join(name), content).unwrap();
    }

    /// Types, and presses Tab until the line is this: on a busy machine the first answer may be late.
    #[track_caller]
    fn tab(&mut self, typed: &str, line: &str) {
        self.repl.keys(typed);
        self.tab_until(|text| text.lines().any(|row| row.trim_end() == format!("db1$ {line}")));
    }

    #[track_caller]
    fn tab_until(&mut self, is: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !is(&self.repl.text()) {
            assert!(begun.elapsed() < DEADLINE, "{}", self.repl.text());
            self.repl.keys("\t");
            let pressed = Instant::now();
            // Longer than the prompt waits.
            while pressed.elapsed() < Duration::from_secs(1) && !is(&self.repl.text()) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Gives up the line.
    #[track_caller]
    fn clear(&mut self) {
        self.repl.keys("\x03");
        self.repl.wait_for_prompt();
    }
}

#[test]
fn a_file_with_a_space_in_its_name_is_completed_and_runs() {
    let mut tabs = Tabs::start("/bin/bash");
    tabs.file("my notes.txt", "as written\n");
    tabs.tab("cat my", "cat my\\ notes.txt");
    tabs.repl.keys("\r");
    tabs.repl.wait_for_line("as written");
    tabs.repl.wait_for_prompt();
    tabs.tab("cat \"my", "cat \"my notes.txt\"");
    tabs.clear();
    fs::create_dir(tabs.there.join("a dir")).unwrap();
    fs::write(tabs.there.join("a dir/it's $HOME"), "deep\n").unwrap();
    tabs.tab("cat a", "cat a\\ dir/");
    tabs.tab("", "cat a\\ dir/it\\'s\\ \\$HOME");
    tabs.repl.keys("\r");
    tabs.repl.wait_for_line("deep");
}

#[test]
fn several_are_shown_and_one_of_them_is_chosen() {
    let mut tabs = Tabs::start("/bin/bash");
    for name in ["plan a", "plan b", "other", ".hidden"] {
        tabs.file(name, name);
    }
    tabs.repl.keys("cat p");
    tabs.tab_until(|text| text.contains("plan a") && text.contains("plan b"));
    assert!(tabs.repl.text().contains("cat plan\\ \n"), "what both begin with: {}", tabs.repl.text());
    assert!(!tabs.repl.text().contains("other"), "{}", tabs.repl.text());
    tabs.clear();
    // The answer is known by now: the first Tab shows both, the second goes to the second.
    tabs.repl.keys("cat p\t");
    tabs.repl.wait_for_reversed("plan a");
    tabs.repl.keys("\t");
    tabs.repl.wait_for_reversed("plan b");
    tabs.repl.keys("\r");
    tabs.repl.wait_for_end("cat plan\\ b");
    tabs.repl.keys("\r");
    tabs.repl.wait_for_line("plan b");
    tabs.tab("cat .", "cat .hidden");
    tabs.clear();
}

#[test]
fn what_the_shell_knows_is_completed_in_every_shell() {
    for shell in ["/bin/bash", "/usr/bin/zsh", "/bin/dash", "/bin/mksh", "/bin/busybox"] {
        if !Path::new(shell).exists() {
            continue;
        }
        let mut tabs = Tabs::start(shell);
        tabs.repl.line("PATH=$PATH:$PWD; telex_variable=1; echo set-$((1 + 1))", "set-2");
        tabs.repl.line("set -eu; echo strict-$((1 + 1))", "strict-2");
        tabs.repl.line("alias telex_alias=true; echo alias-$((1 + 1))", "alias-2");
        tabs.file("telex-program", "#!/bin/sh\necho it runs\n");
        fs::set_permissions(
            tabs.there.join("telex-program"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        tabs.tab("echo ${telex_va", "echo ${telex_variable}");
        tabs.clear();
        tabs.tab("true && telex_al", "true && telex_alias");
        tabs.clear();
        tabs.tab("telex-pro", "telex-program");
        tabs.repl.keys("\r");
        tabs.repl.wait_for_line("it runs");
        tabs.repl.wait_for_prompt();
        // The shell is as it was.
        tabs.repl.line("echo $?-$((1 + 1))", "0-2");
        tabs.repl.leave();
    }
}

#[test]
fn our_own_commands_and_files_here_are_completed() {
    let mut tabs = Tabs::start("/bin/bash");
    let here = tabs.there.with_file_name("here");
    fs::create_dir(&here).unwrap();
    fs::write(here.join("to send"), "sent").unwrap();
    tabs.tab(":pu", ":put");
    tabs.tab(&format!("{}/to", here.display()), &format!(":put {}/to\\ send", here.display()));
    tabs.clear();
}

#[test]
fn names_cannot_do_anything() {
    let mut tabs = Tabs::start("/bin/bash");
    tabs.file("x\x1b]0;title\x07", "");
    tabs.file("x\nexit", "");
    tabs.file("x$(touch made)", "");
    tabs.file("x\u{202e}reverse", "");
    tabs.repl.keys("cat x");
    tabs.tab_until(|text| text.contains("touch made") && text.contains("\\u{202e}reverse"));
    assert!(
        !tabs.repl.text().contains("title") && !tabs.repl.text().contains("exit"),
        "{}",
        tabs.repl.text()
    );
    tabs.clear();
    tabs.tab("cat 'x$", "cat 'x$(touch made)'");
    tabs.repl.keys("\r");
    tabs.repl.wait_for_prompt();
    assert!(!tabs.there.join("made").exists());
}

#[test]
fn no_answer_keeps_nobody_from_typing() {
    let server = TestServer::start();
    let proxy = Proxy::start(server.address().parse().unwrap());
    let mut repl =
        Repl::with(&server, &proxy.address().to_string(), "[prompt]\nformat = \"{host}$ \"", |_| {});
    repl.line("cd /; echo one-$((1 + 1))", "one-2");
    proxy.set(Mode::Stall);
    repl.keys("echo /et\t");
    repl.keys("x\x7fc\x7f");
    repl.wait_for_end("$ echo /et");
    // No key is lost to a menu that is not there.
    repl.keys("\t\x1b[D\x1b[Dy");
    repl.wait_for_row("the cursor's keys", |row| row.ends_with("echo /yet"));
    repl.keys("\x7f\x05");
    proxy.set(Mode::Pass);
    let mut tabs = Tabs { repl, there: PathBuf::new(), _server: server };
    tabs.tab("", "echo /etc/");
    tabs.clear();
    tabs.repl.line("echo two-$((1 + 1))", "two-2");
}

#[test]
fn a_directory_that_is_gone_has_nothing_and_keys_go_on() {
    let mut tabs = Tabs::start("/bin/bash");
    tabs.repl.keys("cat nothing/x\t\x1b[Dy");
    tabs.repl.wait_for_end("cat nothing/yx");
    tabs.clear();
    tabs.repl.leave();
}
