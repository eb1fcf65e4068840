//! From here to the server.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::{buffer, limits};

use super::hash::Hash;
use super::listing::Reader;
use super::plan::{Kind, Missing, Standing, Tree, Work, beginnings, part_name, pieces};
use super::progress::Meter;
use super::remote::{RemotePath, Shell, Text, complaint};
use super::{
    ARGUMENT_BYTES, BATCH_BYTES, ListingError, Moved, ROUNDS, Side, Transfer, TransferError, blocking, local,
};
use crate::Stdin;

/// Largest file that travels within a program: four bytes for one at worst, and some shells have to hand it on as one word, of which
/// Linux takes 128 KiB.
const SMALL: u64 = 16 * 1024;

/// Read at once, while as much is being sent: what a frame carries.
const CHUNK: u64 = limits::DATA_PAYLOAD as u64;

/// A transfer to the server.
pub(super) struct Put<'a> {
    transfer: &'a Transfer<'a>,
    local: PathBuf,
    remote: RemotePath,
    meter: Meter<'a>,
}

/// Where it goes.
struct Target {
    path: RemotePath,
    part: RemotePath,
    /// Whether there is nothing of that name.
    is_new: bool,
}

/// The server's words about where something is to come to.
struct Found {
    standing: Standing,
    has_digest: bool,
}

impl<'a> Put<'a> {
    pub(super) fn new(
        transfer: &'a Transfer<'a>,
        local: &Path,
        remote: &[u8],
    ) -> Result<Self, TransferError> {
        let remote = RemotePath::parse(remote, transfer.directory)?;
        let meter = transfer.meter(local.file_name().map(OsStr::as_bytes));
        Ok(Self { transfer, local: local.to_owned(), remote, meter })
    }

    pub(super) async fn run(&self) -> Result<Moved, TransferError> {
        let mut tree = self.walk().await?;
        let name = self.name().await?;
        let (target, mut there) = self.look(&tree, &name).await?;
        let mut hashes = HashMap::new();
        for round in 0..=ROUNDS {
            let work = self.compare(&tree, &there, &hashes).await?;
            if work.is_empty() {
                self.finish(&tree, &target).await?;
                return Ok(self.moved(tree, &target));
            }
            if round == ROUNDS {
                let path = work.files.first().map_or(&b""[..], |file| file.path).to_vec();
                return Err(TransferError::Unequal { path });
            }
            self.meter.begin(work.done(&tree), tree.bytes());
            self.copy(&work, &target).await?;
            self.meter.check();
            // What has changed since is copied as it is now.
            if round > 0 {
                tree = self.walk().await?;
            }
            let whole = tree.files().map(|(path, bytes)| (path.to_vec(), bytes)).collect();
            (there, hashes) = tokio::try_join!(self.survey(&target), self.hashes(whole))?;
        }
        Err(TransferError::Unequal { path: Vec::new() })
    }

    async fn walk(&self) -> Result<Tree, TransferError> {
        let path = self.local.clone();
        let found = blocking(move || match local::walk(&path, true)? {
            Some(tree) => Ok(Ok(tree)),
            None => local::standing(&path).map(Err),
        });
        let path = || self.local.as_os_str().as_bytes().to_vec();
        found.await?.map_err(|standing| match standing {
            Standing::Nothing => TransferError::Missing { side: Side::Here, path: path() },
            _ => TransferError::Special { side: Side::Here, path: path() },
        })
    }

    /// What it is called.
    async fn name(&self) -> Result<Vec<u8>, TransferError> {
        if let Some(name) = self.local.file_name() {
            return Ok(name.as_bytes().to_vec());
        }
        let path = self.local.clone();
        let whole = blocking(move || path.canonicalize().map_err(local::failure("read", &path))).await?;
        let name = whole.file_name().map(|name| name.as_bytes().to_vec());
        name.ok_or_else(|| TransferError::Name(self.local.as_os_str().as_bytes().to_vec()))
    }

    /// Finds out where it goes, makes a place beside that, and looks at what an earlier try has left there.
    async fn look(&self, tree: &Tree, name: &[u8]) -> Result<(Target, There), TransferError> {
        let directory = tree.is_directory();
        let inside = (self.remote.below(name), self.remote.below(&part_name(name)), self.remote.clone());
        let itself = {
            // One without a name is a directory, or is none and has no parent either.
            let parent = self.remote.name().map_or_else(|| self.remote.clone(), |_| self.remote.parent());
            let part = parent.below(&part_name(self.remote.name().unwrap_or(name)));
            // One that was said to be a directory, and is none, is missed itself.
            (self.remote.clone(), part, if self.remote.is_directory { self.remote.clone() } else { parent })
        };

        let mut program = Text::program();
        program.raw("if [ -d ").path(&self.remote).raw(" ]; then where=inside");
        assign(&mut program, &inside);
        program.raw("\nelse where=itself");
        assign(&mut program, &itself);
        program.raw("\nfi\nif [ -d \"$parent\" ]; then standing=$(standing \"$target\"); else standing=NoParent; fi\n");
        program.raw("echo \"$where $standing ${digest:+yes}\"\n[ \"$digest\" ] || exit 0\n");
        let gives_way = |standing: &Standing| standing.gives_way(directory, self.transfer.force);
        let accepted: Vec<_> =
            Standing::ALL.iter().filter(|standing| gives_way(standing)).map(word).collect();
        program.raw("case $standing in ").raw(&accepted.join("|")).raw(") ;; *) exit 0 ;; esac\n");
        program.raw("prepare \"$part\" ").raw(if directory { "-d" } else { "-f" });
        program.raw("\nlist \"$part\"; hashes \"$part\"\n");

        let said = self.shell("write", &self.remote).run(&program).await?;
        let mut reader = Reader::new(&said);
        let line = reader.line()?;
        let (path, part, parent) = if line.starts_with(b"inside ") { inside } else { itself };
        let Some(found) = Found::parse(line)? else {
            return Err(TransferError::NoParent { side: Side::There, path: parent.shown() });
        };
        if !found.has_digest {
            return Err(TransferError::NoDigest);
        }
        if !gives_way(&found.standing) {
            return Err(in_the_way(found.standing, directory, Side::There, path.shown()));
        }
        let there = There::read(reader)?;
        Ok((Target { path, part, is_new: found.standing == Standing::Nothing }, there))
    }

    /// What is at the place where it grows.
    async fn survey(&self, target: &Target) -> Result<There, TransferError> {
        let mut program = Text::program();
        program.raw("part=").path(&target.part).raw("\nlist \"$part\"; hashes \"$part\"\n");
        There::read(Reader::new(&self.shell("check", &target.path).run(&program).await?))
    }

    /// The hashes of the first so many bytes of files here.
    async fn hashes(&self, files: Vec<(Vec<u8>, u64)>) -> Result<HashMap<Vec<u8>, Hash>, TransferError> {
        let root = self.local.clone();
        Ok(blocking(move || local::hashes(&root, &files)).await?.into_iter().collect())
    }

    /// What is to be done; `whole` has the hashes of whole files, as far as they are known.
    async fn compare<'t>(
        &self,
        tree: &'t Tree,
        there: &'t There,
        whole: &HashMap<Vec<u8>, Hash>,
    ) -> Result<Work<'t>, TransferError> {
        let sizes: HashMap<_, _> = tree.files().collect();
        let (mut known, mut unknown) = (HashMap::new(), Vec::new());
        for (path, bytes) in beginnings(tree, &there.tree) {
            match whole.get(path).filter(|_| sizes.get(path) == Some(&bytes)) {
                Some(hash) => drop(known.insert(path.to_vec(), *hash)),
                None => unknown.push((path.to_vec(), bytes)),
            }
        }
        known.extend(self.hashes(unknown).await?);
        let mut work = Work::new(tree, &there.tree, &known, &there.hashes);
        // They travel in a program, which writes them as a whole.
        for file in &mut work.files {
            if file.bytes <= SMALL {
                file.from = 0;
            }
        }
        Ok(work)
    }

    async fn copy(&self, work: &Work<'_>, target: &Target) -> Result<(), TransferError> {
        let shell = self.shell("write", &target.path);
        let mut program = Text::program();
        program.raw("set -e\npart=").path(&target.part).raw("\n");
        for path in &work.remove {
            below(program.raw("rm -rf "), path).raw("\n");
        }
        for path in &work.directories {
            below(program.raw("mkdir "), path).raw("\n");
        }
        for (path, to) in &work.links {
            below(program.raw("ln -s -- ").word(to).raw(" "), path).raw("\n");
        }
        let (small, large): (Vec<&Missing<'_>>, Vec<_>) =
            work.files.iter().partition(|file| file.bytes <= SMALL);
        let batches = pieces(&small, BATCH_BYTES / 2, |file| file.bytes + file.path.len() as u64);
        // Where they are to come to is made in the same round trip as the first of them.
        let is_first_alone = batches.is_empty() && work.makes_places();
        let first: Option<&[&Missing<'_>]> = is_first_alone.then_some(&[]);
        for files in first.into_iter().chain(batches) {
            for (file, content) in self.read_small(files).await? {
                below(program.raw("write "), &file).raw(" ").content(&content).raw("\n");
            }
            shell.run(&program).await?;
            for file in files {
                self.meter.file(file.path);
                self.meter.copied(file.bytes);
            }
            program = Text::program();
            program.raw("part=").path(&target.part).raw("\n");
        }
        for file in large {
            self.send(file, target).await?;
        }
        Ok(())
    }

    async fn read_small(&self, files: &[&Missing<'_>]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, TransferError> {
        let root = self.local.clone();
        let files: Vec<_> = files.iter().map(|file| (file.path.to_vec(), file.bytes)).collect();
        let read = move |(path, bytes): (Vec<u8>, u64)| {
            let at = local::below(&root, &path);
            let mut content = Vec::new();
            local::open(&at)?.take(bytes).read_to_end(&mut content).map_err(local::failure("read", &at))?;
            Ok((path, content))
        };
        blocking(move || files.into_iter().map(read).collect()).await
    }

    /// Sends what is missing of a file, in a job of its own.
    async fn send(&self, file: &Missing<'_>, target: &Target) -> Result<(), TransferError> {
        self.meter.file(file.path);
        let path = target.part.below(file.path);
        let mut text = Text::default();
        text.raw("umask 077; p=").path(&path).raw("\n");
        if file.from > 0 {
            // An earlier try's last bytes may have come since.
            text.raw(&format!(
                "[ \"$(stat -c %s \"$p\")\" = {} ] || {{ echo it has changed >&2; exit 1; }}\n",
                file.from
            ));
        }
        text.raw("exec cat >>\"$p\"");
        let shell = self.shell("write", &target.path.below(file.path));
        let mut command = shell.command(&text);
        let mut job = command.stdin(Stdin::Piped).start().await?;
        let complaint = complaint(&mut job);
        let stdin = job.stdin.take();
        let write = async {
            let Some(stdin) = stdin else { return Ok(()) };
            let at = local::below(&self.local, file.path);
            let mut reading = Chunks::open(at, file.from, file.bytes - file.from).await?;
            let mut chunk = reading.next().await?;
            while let Some(bytes) = chunk {
                let len = bytes.len() as u64;
                let (goes_on, next) = tokio::join!(stdin.write(bytes), reading.next());
                if !goes_on {
                    // Why, it says.
                    return Ok(());
                }
                self.meter.copied(len);
                chunk = next?;
            }
            Ok(())
        };
        let ((), complaint) = tokio::try_join!(write, async { Ok::<_, TransferError>(complaint.await) })?;
        shell.finish(&job, &complaint).await
    }

    /// Sets the modes, and gives it its name.
    async fn finish(&self, tree: &Tree, target: &Target) -> Result<(), TransferError> {
        let mut program = Text::program();
        program.raw("part=").path(&target.part).raw("\ntarget=").path(&target.path).raw("\n");
        let mut by_mode: HashMap<u32, Vec<&[u8]>> = HashMap::new();
        for entry in tree.entries().iter().filter(|entry| matches!(entry.kind, Kind::File { .. })) {
            by_mode.entry(entry.mode).or_default().push(&entry.path);
        }
        for (mode, paths) in by_mode {
            for paths in pieces(&paths, ARGUMENT_BYTES, argument_bytes) {
                program.raw(&format!("chmod {mode:o}"));
                for path in paths {
                    below(program.raw(" "), path);
                }
                program.raw(" || exit\n");
            }
        }
        if tree.is_directory() && !target.is_new {
            fill_up(&mut program, tree);
        } else {
            for directory in tree.directories_inside_out() {
                below(program.raw(&format!("chmod {:o} ", directory.mode)), &directory.path)
                    .raw(" || exit\n");
            }
            let how = if target.is_new {
                "finish \"$part\" \"$target\""
            } else {
                "mv -fT \"$part\" \"$target\" && echo done"
            };
            program.raw(how).raw("\n");
        }
        match self.shell("make", &target.path).run(&program).await?.trim_ascii() {
            b"done" => Ok(()),
            b"taken" => Err(TransferError::Exists { side: Side::There, path: target.path.shown() }),
            _ => Err(ListingError::Garbled.into()),
        }
    }

    fn moved(&self, tree: Tree, target: &Target) -> Moved {
        Moved {
            target: target.path.shown(),
            files: tree.files().count() as u64,
            bytes: tree.bytes(),
            copied: self.meter.moved(),
            left_out: tree.left_out().to_vec(),
        }
    }

    fn shell(&self, doing: &'static str, path: &RemotePath) -> Shell<'a> {
        Shell::new(self.transfer.client, doing, path.shown())
    }
}

/// What is at the place where something grows.
struct There {
    tree: Tree,
    hashes: HashMap<Vec<u8>, Hash>,
}

impl There {
    fn read(mut reader: Reader<'_>) -> Result<Self, TransferError> {
        let tree = Tree::new(reader.files()?)?.ok_or(ListingError::Garbled)?;
        let hashes = reader.hashes()?;
        reader.end()?;
        Ok(Self { tree, hashes })
    }
}

impl Found {
    /// `None` if there is no directory for it.
    fn parse(line: &[u8]) -> Result<Option<Self>, ListingError> {
        let mut words = line.split(|byte| *byte == b' ');
        words.next();
        let Some(standing) = words.next().filter(|standing| *standing != b"NoParent") else {
            return Ok(None);
        };
        let standing = Standing::ALL.into_iter().find(|known| word(known).as_bytes() == standing);
        let standing = standing.ok_or(ListingError::Garbled)?;
        Ok(Some(Self { standing, has_digest: words.next() == Some(b"yes") }))
    }
}

/// What the script calls it.
fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Nothing => "Nothing",
        Standing::File => "File",
        Standing::Directory => "Directory",
        Standing::Other => "Other",
    }
}

/// Why something does not give way.
pub(super) fn in_the_way(standing: Standing, directory: bool, side: Side, path: Vec<u8>) -> TransferError {
    match standing {
        Standing::Directory if !directory => TransferError::InTheWay { side, path, what: "a directory" },
        Standing::File if directory => TransferError::InTheWay { side, path, what: "no directory" },
        Standing::Other => TransferError::InTheWay { side, path, what: "neither a file nor a directory" },
        _ => TransferError::Exists { side, path },
    }
}

fn assign(program: &mut Text, (target, part, parent): &(RemotePath, RemotePath, RemotePath)) {
    program.raw(" target=").path(target).raw(" part=").path(part).raw(" parent=").path(parent);
}

/// Adds what is below the place where it grows.
fn below<'a>(program: &'a mut Text, path: &[u8]) -> &'a mut Text {
    program.raw("\"$part\"");
    if path.is_empty() { program } else { program.raw("/").word(path) }
}

fn argument_bytes(path: &&[u8]) -> u64 {
    path.len() as u64 + 256
}

/// Moves what is in the tree into a directory that is there.
fn fill_up(program: &mut Text, tree: &Tree) {
    let mut inside: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
    for entry in tree.entries().iter().filter(|entry| entry.kind != Kind::Directory) {
        inside.entry(directory_of(&entry.path)).or_default().push(&entry.path);
    }
    for directory in tree.entries().iter().filter(|entry| entry.kind == Kind::Directory) {
        let at = [b"/".as_slice(), &directory.path].concat();
        program.raw("[ -d \"$target\"").word(&at).raw(" ] || mkdir \"$target\"").word(&at).raw(" || exit\n");
        let inside = inside.remove(directory.path.as_slice()).unwrap_or_default();
        for paths in pieces(&inside, ARGUMENT_BYTES, argument_bytes) {
            program.raw("mv -f");
            for path in paths {
                below(program.raw(" "), path);
            }
            program.raw(" \"$target\"").word(&[&at[..], b"/"].concat()).raw(" || exit\n");
        }
    }
    for directory in tree.directories_inside_out() {
        let at = [b"/".as_slice(), &directory.path].concat();
        program.raw(&format!("chmod {:o} \"$target\"", directory.mode)).word(&at).raw(" || exit\n");
    }
    program.raw("rm -rf \"$part\" || exit\necho done\n");
}

fn directory_of(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').and_then(|slash| path.get(..slash)).unwrap_or_default()
}

/// A file, piece by piece.
struct Chunks {
    file: Option<File>,
    path: PathBuf,
    left: u64,
}

impl Chunks {
    async fn open(path: PathBuf, from: u64, left: u64) -> Result<Self, TransferError> {
        blocking(move || {
            let mut file = local::open(&path)?;
            io::Seek::seek(&mut file, io::SeekFrom::Start(from)).map_err(local::failure("read", &path))?;
            Ok(Self { file: Some(file), path, left })
        })
        .await
    }

    /// The next piece; `None` where it is to end, or ends before.
    async fn next(&mut self) -> Result<Option<Bytes>, TransferError> {
        let Some(file) = self.file.take().filter(|_| self.left > 0) else { return Ok(None) };
        let most = self.left.min(CHUNK);
        let (file, read) = blocking(move || {
            let mut bytes = buffer::with_room(usize::try_from(most).unwrap_or_default());
            let read = (&file).take(most).read_to_end(&mut bytes);
            (file, read.map(|_| bytes))
        })
        .await;
        let bytes = read.map_err(local::failure("read", &self.path))?;
        self.left -= bytes.len() as u64;
        self.file = Some(file).filter(|_| !bytes.is_empty());
        Ok(Some(buffer::share(bytes)).filter(|bytes| !bytes.is_empty()))
    }
}
