//! `:put` and `:get`: what arrives is what was sent, however often the line or the client fails on the way; nothing is replaced that
//! was not to be, and nothing that a server says leads out of the target.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "repl_transfer/cut.rs"]
mod cut;
#[path = "repl_transfer/hostile.rs"]
mod hostile;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tests::proxy::{Cutter, Direction, Ending, Mode, Proxy};
use tests::{DEADLINE, Ran, Running, Screen, TestServer, noise, wait_until};

const MIB: usize = 1024 * 1024;

/// A server, and a directory for each side.
struct Sides {
    server: TestServer,
    here: PathBuf,
    there: PathBuf,
}

impl Sides {
    fn new() -> Self {
        Self::with(TestServer::start())
    }

    fn with(server: TestServer) -> Self {
        let (here, there) = (server.directory("here", 0o755), server.directory("there", 0o755));
        Self { server, here, there }
    }

    /// One whose commands have this `PATH`.
    /// Ones whose commands have what `environment` gives for the sandbox's directory.
    fn with_environment(environment: impl FnOnce(&Path) -> String) -> Self {
        let sandbox = tests::Sandbox::with_keys();
        let environment = environment(&sandbox.path(""));
        let key = tests::client_key().public();
        sandbox.settings("authorized_keys", format!("environment=\"{environment}\" {key}\n"));
        Self::with(TestServer::options_in(sandbox).listen("127.0.0.1:0").start())
    }

    fn script(&self, lines: &str) -> Vec<u8> {
        format!("cd '{}'\n{lines}\n", self.there.display()).into_bytes()
    }

    /// The REPL in the directory here, with this server.
    fn client(&self) -> Command {
        self.client_at(self.server.address())
    }

    fn client_at(&self, address: &str) -> Command {
        let mut client = self.server.bare_client();
        client.args(["-H", address, "repl"]).current_dir(&self.here);
        client
    }

    /// Runs these lines in the directory there.
    #[track_caller]
    fn run(&self, lines: &str) -> Ran {
        Ran::with_input(&mut self.client(), &self.script(lines))
    }

    #[track_caller]
    fn copies(&self, lines: &str) {
        assert_eq!(self.run(lines).succeeds(), "");
    }

    /// Runs a line that is to fail; what it says, without where.
    #[track_caller]
    fn refuses(&self, line: &str) -> String {
        let message = self.run(line).complains("client", 1);
        message.strip_prefix("line 2: ").unwrap().to_owned()
    }

    /// A proxy in between.
    fn proxy(&self) -> Proxy {
        Proxy::start(self.server.address().parse().unwrap())
    }

    #[track_caller]
    fn start(&self, proxy: &Proxy, line: &str) -> Running {
        let mut running = Running::start(&mut self.client_at(&proxy.address().to_string()));
        running.write(&self.script(line));
        running
    }
}

/// What is in a directory: modes, and what is in files and where links lead.
fn contents(root: &Path) -> BTreeMap<Vec<u8>, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            b"a directory".to_vec()
        } else if metadata.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_vec()
        } else {
            fs::read(&path).unwrap()
        };
        let mode = if metadata.is_symlink() { 0 } else { metadata.permissions().mode() & 0o7777 };
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        found.insert(name, (mode, content));
    }
    found
}

fn names(root: &Path) -> Vec<String> {
    let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A directory with all that there is.
fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::create_dir(root.join("empty directory")).unwrap();
    let odd: [&[u8]; 8] =
        [b"a b", b"new\nline", b"-rf", b"not utf-8 \xff\xfe", b"it's \"$HOME\" `x` \\", b"%s\\n", b"*", b"~"];
    for (number, name) in odd.into_iter().enumerate() {
        fs::write(root.join("deep").join(OsStr::from_bytes(name)), noise(number * 700)).unwrap();
    }
    fs::write(root.join("deep/er/empty"), "").unwrap();
    fs::write(root.join("large"), noise(3 * MIB + 17)).unwrap();
    fs::write(root.join("medium"), noise(100_000)).unwrap();
    fs::write(root.join("every byte"), (0..=255).collect::<Vec<u8>>()).unwrap();
    set_mode(&root.join("large"), 0o400);
    set_mode(&root.join("medium"), 0o755);
    set_mode(&root.join("deep/er"), 0o500);
    symlink("../medium", root.join("deep/link")).unwrap();
    symlink("/no where\nat all", root.join("dangling")).unwrap();
    symlink("deep", root.join("to directory")).unwrap();
}

/// Stops when so many bytes have passed one way; what is half done is on its way no further.
#[track_caller]
fn stall_behind(proxy: &Proxy, direction: Direction, bytes: usize) {
    proxy.wait_until("half of it has passed", |observed| {
        let traffic = if direction == Direction::ToServer { observed.to_server } else { observed.to_client };
        traffic.passed > bytes as u64
    });
    proxy.set(Mode::Stall);
}

/// What has passed both ways.
fn passed(proxy: &Proxy) -> u64 {
    let observed = proxy.observed();
    observed.to_server.passed + observed.to_client.passed
}

#[test]
fn trees_are_the_same_on_both_sides() {
    let sides = Sides::new();
    make_tree(&sides.here.join("tree"));
    sides.copies(":put tree\n:get tree back");
    let original = contents(&sides.here.join("tree"));
    assert!(original.len() > 15);
    assert_eq!(contents(&sides.there.join("tree")), original);
    assert_eq!(contents(&sides.here.join("back")), original);
    assert_eq!(
        (names(&sides.here), names(&sides.there)),
        (vec!["back".into(), "tree".into()], vec!["tree".into()])
    );
    // Into a directory that is there, as cp does it; and filled up with -f.
    let other = contents(&sides.here.join("tree/deep"));
    sides.copies(":put tree/deep tree/'empty directory'");
    assert_eq!(contents(&sides.there.join("tree/empty directory/deep")), other);
}

#[test]
fn a_file_goes_where_cp_would_have_it() {
    let sides = Sides::with_environment(|sandbox| format!("HOME={}", sandbox.join("home").display()));
    fs::write(sides.here.join("a b"), "content").unwrap();
    set_mode(&sides.here.join("a b"), 0o640);
    fs::create_dir(sides.there.join("in")).unwrap();
    let home = sides.server.path("home");
    fs::write(home.join("mine"), "mine").unwrap();
    sides.copies(":put 'a b'\n:put a\\ b other\n:put \"a b\" in");
    sides.copies(":put ~/mine ~/copy\n:get ~/copy ~/back");
    let content = |path: PathBuf| fs::read_to_string(path).unwrap();
    for name in ["a b", "other", "in/a b"] {
        assert_eq!(content(sides.there.join(name)), "content");
        assert_eq!(fs::metadata(sides.there.join(name)).unwrap().permissions().mode() & 0o777, 0o640);
    }
    assert_eq!((content(home.join("copy")), content(home.join("back"))), ("mine".into(), "mine".into()));
    fs::create_dir(sides.here.join("in")).unwrap();
    sides.copies(":get other\n:get in/'a b' in/\n:get -- other ./-x\n:put -- -x\n:get .");
    assert_eq!(names(&sides.here), ["-x", "a b", "in", "other", "there"]);
    assert_eq!(content(sides.here.join("in/a b")), "content");
    assert_eq!(content(sides.there.join("-x")), "content");
    assert_eq!(contents(&sides.here.join("there")), contents(&sides.there));
    // A script in another encoding.
    let mut script = sides.script(":put other ");
    script.pop();
    script.extend(b"\xff\xa0\n");
    assert_eq!(Ran::with_input(&mut sides.client(), &script).succeeds(), "");
    assert_eq!(content(sides.there.join(OsStr::from_bytes(b"\xff\xa0"))), "content");
}

#[test]
fn nothing_is_replaced_unless_that_is_asked_for() {
    let sides = Sides::new();
    for (side, content) in [(&sides.here, "here"), (&sides.there, "there")] {
        fs::write(side.join("file"), content).unwrap();
        fs::create_dir(side.join("tree")).unwrap();
        fs::write(side.join("tree/both"), content).unwrap();
        fs::write(side.join("tree").join(content), content).unwrap();
    }
    let there = sides.there.display();
    assert_eq!(
        sides.refuses(":put file"),
        format!("{there}/file is there already on the server; with -f it is replaced")
    );
    assert_eq!(sides.refuses(":get file"), "file is there already here; with -f it is replaced");
    assert!(sides.refuses(":put tree").contains("tree is there already on the server"));
    assert!(sides.refuses(":get tree").contains("tree is there already here"));
    assert!(sides.refuses(":put -f file tree/both/").contains("there is no directory"));
    fs::create_dir(sides.there.join("tree/file")).unwrap();
    assert!(sides.refuses(":put -f file tree").contains("is a directory; choose another name"));
    fs::remove_dir(sides.there.join("tree/file")).unwrap();
    assert_eq!(fs::read_to_string(sides.there.join("file")).unwrap(), "there");
    assert_eq!(fs::read_to_string(sides.here.join("file")).unwrap(), "here");
    assert_eq!(
        (names(&sides.here), names(&sides.there)),
        (vec!["file".into(), "tree".into()], vec!["file".into(), "tree".into()])
    );

    sides.copies(":put -f file\n:put -f tree");
    assert_eq!(fs::read_to_string(sides.there.join("file")).unwrap(), "here");
    assert_eq!(names(&sides.there.join("tree")), ["both", "here", "there"]);
    assert_eq!(fs::read_to_string(sides.there.join("tree/both")).unwrap(), "here");
    fs::write(sides.there.join("tree/both"), "again").unwrap();
    sides.copies(":get -f tree");
    assert_eq!(names(&sides.here.join("tree")), ["both", "here", "there"]);
    assert_eq!(fs::read_to_string(sides.here.join("tree/both")).unwrap(), "again");
    assert_eq!(
        (names(&sides.here), names(&sides.there)),
        (vec!["file".into(), "tree".into()], vec!["file".into(), "tree".into()])
    );
}

#[test]
fn what_cannot_be_copied_is_refused_with_its_reason() {
    let sides = Sides::new();
    let there = sides.there.display();
    assert_eq!(sides.refuses(":put nothing"), "there is no nothing here");
    assert_eq!(sides.refuses(":get nothing"), format!("there is no {there}/nothing on the server"));
    fs::write(sides.here.join("file"), "x").unwrap();
    fs::write(sides.there.join("file"), "x").unwrap();
    let refused = sides.refuses(":put file no/such");
    assert_eq!(refused, format!("there is no directory {there}/no on the server; make it with mkdir"));
    assert_eq!(
        sides.refuses(":put file no/"),
        format!("there is no directory {there}/no on the server; make it with mkdir")
    );
    assert_eq!(sides.refuses(":get file no/such"), "there is no directory no here; make it first");
    assert!(sides.refuses(":get file no/").starts_with("there is no directory no/ here"));
    assert!(sides.refuses(":get ..").starts_with("no name for a file"));
    for special in [sides.here.join("fifo"), sides.there.join("fifo")] {
        assert!(Command::new("mkfifo").arg(special).status().unwrap().success());
    }
    assert_eq!(sides.refuses(":put fifo"), "fifo here is neither a file nor a directory");
    assert!(sides.refuses(":get fifo").ends_with("fifo on the server is neither a file nor a directory"));
    assert!(
        sides.refuses(":put -f file fifo").contains("is neither a file nor a directory; choose another name")
    );
    let said = sides.run(":put\n:get -x a\n:put a b c\n:help put\n").exits(0);
    assert_eq!(said.errors().matches("takes no such arguments").count(), 3, "{said:?}");
    assert!(said.text().contains(":put [-f] LOCAL [REMOTE]: copy a file"), "{said:?}");
    // In a tree they are left out, and said.
    for (way, from, to) in [(":put", &sides.here, &sides.there), (":get", &sides.there, &sides.here)] {
        let name = &way[1..];
        fs::create_dir(from.join(name)).unwrap();
        fs::write(from.join(name).join("file"), "x").unwrap();
        assert!(Command::new("mkfifo").arg(from.join(name).join("a fifo")).status().unwrap().success());
        let message = sides.run(&format!("{way} {name}")).complains("client", 0);
        assert_eq!(message, "line 2: left out, since they are devices, sockets or FIFOs: a fifo");
        assert_eq!(names(&to.join(name)), ["file"]);
    }
    assert_eq!(sides.run("set -e; true\n:put nothing\necho on").exits(0).text(), "on\n");
    let mut errexit = sides.client();
    Ran::with_input(errexit.arg("--errexit"), &sides.script(":put nothing\necho never")).exits(1);
}

#[test]
fn a_server_without_a_program_that_hashes_is_refused_and_any_of_three_will_do() {
    let tools = |with: &'static str| {
        Sides::with_environment(move |sandbox| {
            let tools = sandbox.join("tools");
            fs::create_dir(&tools).unwrap();
            for tool in
                "sh find stat readlink cat tail head mkdir rm ln mv chmod env mktemp".split(' ').chain([with])
            {
                let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
                let path = String::from_utf8(found.stdout).unwrap();
                if path.starts_with('/') {
                    symlink(path.trim(), tools.join(tool)).unwrap();
                }
            }
            format!("PATH={}", tools.display())
        })
    };
    let sides = tools("true");
    fs::write(sides.here.join("file"), noise(MIB)).unwrap();
    fs::write(sides.there.join("other"), "x").unwrap();
    let reason =
        "there is neither openssl nor sha256sum nor shasum on the server, so a copy could not be checked";
    for line in [":put file", ":get other"] {
        assert!(sides.refuses(line).starts_with(reason));
    }
    assert_eq!((names(&sides.here), names(&sides.there)), (vec!["file".into()], vec!["other".into()]));
    for tool in ["openssl", "sha256sum", "shasum"] {
        let sides = tools(tool);
        if !sides.server.path("tools").join(tool).exists() {
            eprintln!("not tried: {tool} is not here");
            continue;
        }
        make_tree(&sides.here.join("tree"));
        fs::write(sides.here.join("file"), noise(MIB)).unwrap();
        sides.copies(":put tree\n:get tree back\n:put file\n:get file again");
        assert_eq!(contents(&sides.here.join("back")), contents(&sides.here.join("tree")), "{tool}");
        assert!(fs::read(sides.here.join("again")).unwrap() == noise(MIB));
    }
}

/// Whether a small disk can be mounted here.
fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]).output();
    let can = tried.as_ref().is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("not run: no disk can be mounted here: {tried:?}");
    }
    can
}

#[test]
fn a_full_disk_is_said_on_either_side() {
    if !can_mount() {
        return;
    }
    let prelude = "mkdir -p $HOME/small; exec unshare -m sh -c '
        mount -t tmpfs -o size=8m,mode=700 tmpfs $HOME/small && exec \"$@\"' sh \"$@\"";
    let sides = Sides::with(TestServer::options().listen("127.0.0.1:0").after(prelude).start());
    fs::write(sides.here.join("file"), noise(16 * MIB)).unwrap();
    let small = sides.server.path("home/small").display().to_string();
    let message = sides.refuses(&format!(":put file {small}"));
    assert!(
        message.starts_with(&format!("cannot write {small}/file on the server: "))
            && message.ends_with(
                "No space left on device; make room on the server, and the same command goes on from there"
            ),
        "{message}"
    );
    // Small ones are written otherwise.
    fs::create_dir(sides.here.join("many")).unwrap();
    for number in 0..100 {
        fs::write(sides.here.join("many").join(number.to_string()), noise(8000)).unwrap();
    }
    let message = sides.refuses(&format!(":put many {small}"));
    assert!(message.contains("No space left on device; make room on the server"), "{message}");
    assert_eq!(sides.server.run([format!("ls {small}")]).succeeds(), "");
    // With room again, it goes on.
    sides.copies(&format!("mount -o remount,size=64m {small}\n:put file {small}\n:put many {small}"));
    let counts = sides.server.run([format!("cat {small}/file | wc -c; ls {small}/many | wc -l")]).succeeds();
    assert_eq!(counts, format!("{}\n100\n", 16 * MIB));

    fs::write(sides.there.join("other"), noise(16 * MIB)).unwrap();
    fs::create_dir(sides.here.join("small")).unwrap();
    let client = sides.client();
    let mut small = sides.server.command("/usr/bin/unshare");
    small.args(["-m", "sh", "-c", "mount -t tmpfs -o size=8m tmpfs small && exec \"$@\"", "sh"]);
    small.arg(client.get_program()).args(client.get_args()).current_dir(&sides.here);
    let ran = Ran::with_input(&mut small, &sides.script(":get other small"));
    let errors = ran.exits(1).errors();
    assert!(
        errors.contains(
            "cannot write small/.other.telex-part: no space left on device; make room, and the same command"
        ),
        "{errors}"
    );
}

#[test]
fn a_thousand_small_files_cost_a_few_commands() {
    let sides = Sides::new();
    fs::create_dir(sides.here.join("many")).unwrap();
    for number in 0..1000 {
        fs::write(sides.here.join("many").join(number.to_string()), noise(1024 + number)).unwrap();
    }
    let starts = || sides.server.log().matches("\"event\":\"job_start").count();
    let before = starts();
    sides.copies(":put many");
    let put = starts() - before;
    sides.copies(":get many back");
    let get = starts() - before - put;
    assert!(contents(&sides.here.join("back")) == contents(&sides.here.join("many")));
    assert!((1..20).contains(&put) && (1..20).contains(&get), "{put} and {get} commands");
}

#[test]
fn a_person_sees_a_bar_and_what_became_of_it() {
    let sides = Sides::new();
    fs::write(sides.here.join("file"), noise(32 * MIB)).unwrap();
    let proxy = sides.proxy();
    for (term, shows) in [("xterm", true), ("dumb", false)] {
        let mut screen = Screen::new(24, 120);
        let mut client = sides.client_at(&proxy.address().to_string());
        client.env("TERM", term);
        let mut child = screen.start(&sides.server, &client);
        screen.wait_for("$ ");
        let before = proxy.observed().to_server.passed;
        let (here, there) = (sides.here.display(), sides.there.display());
        screen.keys(format!(":put {here}/file {there}/{term}\r").as_bytes());
        stall_behind(&proxy, Direction::ToServer, usize::try_from(before).unwrap() + 8 * MIB);
        if shows {
            screen.wait_until("the bar", |screen| {
                let text = screen.contents();
                ["file  ", "/32.00 MiB", "MiB/s", " left"].iter().all(|part| text.contains(part))
            });
        }
        proxy.set(Mode::Pass);
        screen.wait_for(&format!("/{term}: 1 file, 32.00 MiB, SHA-256 compared"));
        let text = screen.text();
        assert!(!text.contains(" left"), "{text}");
        screen.keys(b":quit\r");
        wait_until("the client ends", DEADLINE, || {
            screen.text();
            child.try_wait().unwrap().is_some()
        });
    }
}
