//! The other side: its paths, and the programs that its shell runs for a transfer.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use common::job::Outcome;

use super::TransferError;
use super::plan::ListingError;
use crate::{Client, Command, Job, Stdin};

/// What programs are written with.
const PRELUDE: &str = include_str!("remote.sh");

/// Reads the whole program before any of it runs, so that none of it is taken for what it reads. Names are bytes.
const READ_PROGRAM: &str = "LC_ALL=C; export LC_ALL; eval \"$(cat)\"";

/// What a program may answer: a million files with names of some length. More is no answer.
const ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// What is kept of complaints: some lines.
const COMPLAINT_BYTES: usize = 4096;

/// Text for a shell.
#[derive(Debug, Clone, Default)]
pub(super) struct Text(pub(super) Vec<u8>);

impl Text {
    /// A program that begins with the prelude.
    pub(super) fn program() -> Self {
        Self(PRELUDE.as_bytes().to_vec())
    }

    /// Adds this as it is.
    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Adds one word that is exactly this.
    pub(super) fn word(&mut self, word: &[u8]) -> &mut Self {
        self.0.push(b'\'');
        for byte in word {
            match byte {
                b'\'' => self.0.extend_from_slice(b"'\\''"),
                other => self.0.push(*other),
            }
        }
        self.0.push(b'\'');
        self
    }

    /// Adds a path.
    pub(super) fn path(&mut self, path: &RemotePath) -> &mut Self {
        if path.in_home {
            self.raw("\"$HOME\"/");
        }
        self.word(&path.path)
    }

    /// Adds what `printf` makes these bytes of.
    pub(super) fn content(&mut self, content: &[u8]) -> &mut Self {
        self.0.push(b'\'');
        for (at, byte) in content.iter().enumerate() {
            match byte {
                b'%' => self.0.extend_from_slice(b"%%"),
                b'\\' => self.0.extend_from_slice(b"\\\\"),
                // At the beginning it would be an option.
                b'-' if at > 0 => self.0.push(b'-'),
                b'\n' => self.0.push(b'\n'),
                b'\'' | b'-' | 0..=0x1f | 0x7f.. => {
                    self.0.push(b'\\');
                    self.0.extend([6, 3, 0].map(|shift| b'0' + (byte >> shift & 7)));
                }
                other => self.0.push(*other),
            }
        }
        self.0.push(b'\'');
        self
    }
}

/// A path on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemotePath {
    in_home: bool,
    /// Begins with a slash or with a point.
    path: Vec<u8>,
    /// Whether it was written with a slash at its end.
    pub(super) is_directory: bool,
}

impl RemotePath {
    /// As it is written: `~` is the home directory there, and what begins with no slash counts from `directory`.
    ///
    /// # Errors
    /// [`TransferError::Name`] if it can be none.
    pub(super) fn parse(written: &[u8], directory: Option<&[u8]>) -> Result<Self, TransferError> {
        if written.is_empty() || written.contains(&0) {
            return Err(TransferError::Name(written.to_vec()));
        }
        let (in_home, path) = match written {
            b"~" => (true, &b""[..]),
            [b'~', b'/', rest @ ..] => (true, rest),
            path => (false, path),
        };
        let (base, path) = match (path.first(), directory) {
            (Some(b'/'), _) if !in_home => (&b""[..], path),
            (_, Some(directory)) if !in_home => (without_slashes(directory), path),
            _ => (&b"."[..], path),
        };
        let path = without_slashes(path);
        let is_directory = path.len() < written.len() && written.ends_with(b"/");
        // The directory itself, which may have a name.
        let path = if path == b"." && !base.is_empty() { b"" } else { path };
        let slash: &[u8] = if base.is_empty() || path.is_empty() { b"" } else { b"/" };
        Ok(Self { in_home, path: [base, slash, path].concat(), is_directory }.rooted())
    }

    /// The root alone has no name.
    fn rooted(mut self) -> Self {
        if self.path.is_empty() {
            self.path.push(b'/');
        }
        self
    }

    /// Its last name, if it has one.
    pub(super) fn name(&self) -> Option<&[u8]> {
        let name = self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        Some(name).filter(|name| !matches!(*name, b"" | b"." | b".."))
    }

    /// What is below it; itself for an empty path.
    pub(super) fn below(&self, path: &[u8]) -> Self {
        let slash: &[u8] = if path.is_empty() || self.path.ends_with(b"/") { b"" } else { b"/" };
        Self { path: [&self.path, slash, path].concat(), ..*self }
    }

    /// The directory that it is in.
    pub(super) fn parent(&self) -> Self {
        let slash = self.path.iter().rposition(|byte| *byte == b'/').unwrap_or_default();
        let path = self.path.get(..slash).unwrap_or_default();
        Self { path: path.to_vec(), ..*self }.rooted()
    }

    /// For people.
    pub(super) fn shown(&self) -> Vec<u8> {
        let path = self.path.strip_prefix(b"./").unwrap_or(&self.path);
        if self.in_home { [b"~/", path].concat() } else { path.to_vec() }
    }
}

/// What a shell complains about, without the line of a program that nobody knows: `sh: 60: ` or `sh: line 60: `.
fn without_place(complaint: &str) -> &str {
    let place = complaint.strip_prefix("sh: ").map(|rest| rest.strip_prefix("line ").unwrap_or(rest));
    let split = place.and_then(|rest| rest.split_once(": "));
    match split {
        Some((line, rest)) if line.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => complaint,
    }
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    path.get(..end).unwrap_or_default()
}

/// The shell on the other side.
#[derive(Debug)]
pub(super) struct Shell<'a> {
    client: &'a Client,
    /// What is being done, for people.
    doing: &'static str,
    path: Vec<u8>,
}

impl<'a> Shell<'a> {
    /// One that does this to that.
    pub(super) fn new(client: &'a Client, doing: &'static str, path: Vec<u8>) -> Self {
        Self { client, doing, path }
    }

    /// Runs a program; what it says.
    pub(super) async fn run(&self, program: &Text) -> Result<Vec<u8>, TransferError> {
        let mut command = self.client.shell(READ_PROGRAM);
        let mut job = command.stdin(Stdin::Piped).start().await?;
        let (stdin, stdout) = (job.stdin.take(), job.stdout.take());
        let write = async {
            if let Some(stdin) = stdin {
                stdin.write(Bytes::copy_from_slice(&program.0)).await;
            }
        };
        let read = async {
            let (mut said, mut stdout) = (Vec::new(), stdout);
            while let Some(bytes) = next(&mut stdout).await {
                said.extend_from_slice(&bytes);
                if said.len() > ANSWER_BYTES {
                    return Err(ListingError::TooLong);
                }
            }
            Ok(said)
        };
        // What is too long is not waited for.
        let both = async { tokio::join!(write, read).1 };
        let complaint = complaint(&mut job);
        let (said, complaint) = tokio::try_join!(async { both.await.map_err(TransferError::from) }, async {
            Ok(complaint.await)
        })?;
        self.finish(&job, &complaint).await?;
        Ok(said)
    }

    /// A command whose streams are somebody else's.
    pub(super) fn command(&self, text: &Text) -> Command<'a> {
        self.client.shell(OsStr::from_bytes(&text.0))
    }

    /// Waits for the end, which has to be a good one.
    pub(super) async fn finish(&self, job: &Job, complaint: &[u8]) -> Result<(), TransferError> {
        let finished = job.wait().await?;
        if finished.outcome.is_success() {
            return Ok(());
        }
        let line =
            complaint.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
        let said = match (line, finished.outcome) {
            (Some(line), _) => without_place(&String::from_utf8_lossy(line)).to_owned(),
            (None, outcome @ Outcome::Exited(_)) => format!("the shell there ended with {outcome}"),
            (None, outcome) => outcome.to_string(),
        };
        Err(TransferError::Remote { doing: self.doing, path: self.path.clone(), said })
    }
}

/// What a job says on its stderr, as far as anybody wants to know.
pub(super) fn complaint(job: &mut Job) -> impl Future<Output = Vec<u8>> + use<> {
    let mut stderr = job.stderr.take();
    async move {
        let mut said = Vec::new();
        while let Some(bytes) = next(&mut stderr).await {
            let room = COMPLAINT_BYTES.saturating_sub(said.len()).min(bytes.len());
            said.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
        said
    }
}

async fn next(output: &mut Option<crate::JobOutput>) -> Option<Bytes> {
    match output {
        Some(output) => output.next().await,
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn path(written: &str) -> RemotePath {
        RemotePath::parse(written.as_bytes(), Some(b"/work")).unwrap()
    }

    fn shell(path: &RemotePath) -> String {
        String::from_utf8(Text::default().path(path).0.clone()).unwrap()
    }

    #[test]
    fn paths_count_from_the_directory_the_home_or_the_root() {
        assert_eq!(shell(&path("a b")), "'/work/a b'");
        assert_eq!(shell(&path("-f")), "'/work/-f'");
        assert_eq!(shell(&path("/it's")), "'/it'\\''s'");
        assert_eq!(shell(&path("~/x")), "\"$HOME\"/'./x'");
        assert_eq!(shell(&path("~")), "\"$HOME\"/'.'");
        assert_eq!(shell(&path("///")), "'/'");
        let no_directory = RemotePath::parse(b"-x", None).unwrap();
        assert_eq!(shell(&no_directory), "'./-x'");
        assert_eq!(no_directory.shown(), b"-x");
        assert!(RemotePath::parse(b"", None).is_err() && RemotePath::parse(b"a\0b", None).is_err());
    }

    #[test]
    fn names_and_neighbours() {
        assert_eq!(path("a/b/").name(), Some(&b"b"[..]));
        assert!(path("a/b/").is_directory && !path("a/b").is_directory);
        assert_eq!((shell(&path(".")), path("./").name()), ("'/work'".to_owned(), Some(&b"work"[..])));
        for nameless in ["..", "/", "~", "a/..", "/."] {
            assert_eq!(path(nameless).name(), None, "{nameless}");
        }
        assert_eq!(shell(&path("a").parent()), "'/work'");
        assert_eq!(shell(&path("/a").parent()), "'/'");
        assert_eq!(shell(&path("/").below(b"x")), "'/x'");
        assert_eq!(shell(&path("a").below(b"x/y")), "'/work/a/x/y'");
        assert_eq!(shell(&path("a").below(b"")), "'/work/a'");
    }

    #[test]
    fn complaints_do_not_name_lines_of_ours() {
        for (said, shown) in [
            ("sh: 60: cannot create x: Permission denied", "cannot create x: Permission denied"),
            ("sh: line 7: x: Permission denied", "x: Permission denied"),
            ("cat: write error: No space left", "cat: write error: No space left"),
            ("sh: find: not found", "sh: find: not found"),
        ] {
            assert_eq!(without_place(said), shown);
        }
    }

    /// Runs a program as a server does, in a directory; what it says.
    fn run(shell: &[&str], path: &OsStr, directory: &Path, text: &str) -> String {
        let mut program = Text::program();
        program.raw(text);
        std::fs::write(directory.join("program"), &program.0).unwrap();
        let mut command = std::process::Command::new(shell[0]);
        command.args(&shell[1..]).args(["-c", READ_PROGRAM]).current_dir(directory).env("PATH", path);
        let output = command.stdin(std::fs::File::open(directory.join("program")).unwrap()).output().unwrap();
        assert!(output.status.success(), "{shell:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_prelude_does_the_same_in_every_shell() {
        let path = std::env::var_os("PATH").unwrap();
        let tools = tempfile::tempdir().unwrap();
        let busybox =
            std::process::Command::new("sh").args(["-c", "command -v busybox"]).output().unwrap().stdout;
        let busybox = String::from_utf8(busybox).unwrap();
        for tool in "sh find stat readlink cat head mkdir rm ln mv chmod sha256sum".split(' ') {
            std::os::unix::fs::symlink(busybox.trim(), tools.path().join(tool)).unwrap();
        }
        let mut shells =
            vec![(vec!["sh"], path.clone()), (vec!["bash"], path.clone()), (vec!["mksh"], path.clone())];
        shells.push((vec!["busybox", "sh"], tools.path().as_os_str().to_owned()));
        for (shell, tools) in shells {
            if std::process::Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).output().is_err() {
                continue;
            }
            let directory = tempfile::tempdir().unwrap();
            // Found by this process' PATH, whatever that of the program is.
            let shell: Vec<_> = [find_program(shell[0])]
                .into_iter()
                .chain(shell[1..].iter().map(|word| (*word).to_owned()))
                .collect();
            let shell: Vec<&str> = shell.iter().map(String::as_str).collect();
            let run = |text: &str| run(&shell, &tools, directory.path(), text);
            let odd = "./t/'new\nline'";
            let made = format!(
                "prepare ./t -d; write {odd} 'a\\000\\377'; mkdir ./t/d; ln -s -- x ./t/l\nlist ./t; hashes ./t"
            );
            let said = run(&made);
            assert!(said.contains("./new\nline\0") && said.contains(" 3\n"), "{shell:?}: {said:?}");
            let hash = super::super::hash::Hash::of(b"a\0\xff").to_string();
            assert!(said.contains(&hash) && said.contains("x\0"), "{shell:?}: {said:?}");
            assert_eq!(
                run("prepare ./t -d; finish ./t ./target; standing ./target"),
                "done\nDirectory\n",
                "{shell:?}"
            );
            assert_eq!(
                run("prepare ./t -d; finish ./t ./target; standing ./t/d"),
                "taken\nNothing\n",
                "{shell:?}"
            );
            assert_eq!(
                run("prepare ./f -f; finish ./f ./target; finish ./f ./g; standing ./g"),
                "taken\ndone\nFile\n"
            );
            // Had ./f been a link or a second name, it would not be written to.
            let planted = "ln ./g ./f; prepare ./f -f; write ./f x; rm ./f; ln -s g ./f; prepare ./f -f; write ./f x; cat ./g";
            assert_eq!(run(planted), "", "{shell:?}");
            assert!(
                run("beginning ./f . 1").contains(&super::super::hash::Hash::of(b"x").to_string()),
                "{shell:?}"
            );
        }
    }

    fn find_program(name: &str) -> String {
        let found =
            std::process::Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn content_is_what_printf_makes_of_it() {
        let all: Vec<u8> = b"-".iter().copied().chain(0..=255).collect();
        let mut text = Text::default();
        text.raw("printf ").content(&all);
        let output =
            std::process::Command::new("sh").arg("-c").arg(OsStr::from_bytes(&text.0)).output().unwrap();
        assert_eq!(output.stdout, all);
    }
}
