//! From the server to here. Nothing that the server says is believed before [`Tree`] has it, and nothing is written but through
//! [`Place`].

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::hash::Hash;
use super::listing::Reader;
use super::local::{self, Place};
use super::plan::{Kind, Missing, Standing, Tree, Work, beginnings, part_name, pieces};
use super::progress::Meter;
use super::put::in_the_way;
use super::remote::{RemotePath, Shell, Text, complaint};
use super::{ARGUMENT_BYTES, BATCH_BYTES, Moved, ROUNDS, Side, Transfer, TransferError, blocking};

/// Pieces of a stream between the line and the disk: one being written and one to follow. With more under way the buffers that are used
/// again (`common::buffer`) would not do, which doubles the cost.
const QUEUE: usize = 2;

/// A transfer from the server.
pub(super) struct Get<'a> {
    transfer: &'a Transfer<'a>,
    remote: RemotePath,
    local: PathBuf,
    meter: Meter<'a>,
}

/// Where it goes.
struct Target {
    place: Arc<Place>,
    path: PathBuf,
    /// Where it grows.
    part: Arc<Place>,
    part_path: PathBuf,
    /// Whether there is nothing of that name.
    is_new: bool,
}

impl<'a> Get<'a> {
    pub(super) fn new(
        transfer: &'a Transfer<'a>,
        remote: &[u8],
        local: &Path,
    ) -> Result<Self, TransferError> {
        let remote = RemotePath::parse(remote, transfer.directory)?;
        let meter = transfer.meter(remote.name());
        Ok(Self { transfer, remote, local: local.to_owned(), meter })
    }

    pub(super) async fn run(&self) -> Result<Moved, TransferError> {
        let mut tree = self.list().await?;
        let target = self.look(&tree).await?;
        for round in 0..=ROUNDS {
            let there = self.survey(&target).await?;
            let work = self.compare(&tree, &there, &target).await?;
            if work.is_empty() {
                let finished = self.finish(&tree, &target).await?;
                let path = || target.path.as_os_str().as_bytes().to_vec();
                if !finished {
                    return Err(TransferError::Exists { side: Side::Here, path: path() });
                }
                return Ok(self.moved(&tree, path()));
            }
            if round == ROUNDS {
                let path = work.files.first().map_or(&b""[..], |file| file.path).to_vec();
                return Err(TransferError::Unequal { path });
            }
            if round > 0 {
                // Has changed since it was listed. What is there of it is compared anew.
                tree = self.list().await?;
                self.stay_with(&tree, &there)?;
                let work = self.compare(&tree, &there, &target).await?;
                self.copy(&tree, work, &target).await?;
            } else {
                self.copy(&tree, work, &target).await?;
            }
            self.meter.check();
        }
        Err(TransferError::Unequal { path: Vec::new() })
    }

    /// A directory does not become a file in the middle.
    fn stay_with(&self, tree: &Tree, there: &Tree) -> Result<(), TransferError> {
        if tree.is_directory() == there.is_directory() {
            return Ok(());
        }
        Err(TransferError::Unequal { path: Vec::new() })
    }

    /// What there is on the server.
    async fn list(&self) -> Result<Tree, TransferError> {
        let mut program = Text::program();
        program.raw("source=").path(&self.remote).raw("\nstanding=$(standing \"$source\")\n");
        // A link that leads nowhere is there, and is no file.
        program.raw("[ \"$standing\" != File ] || [ -f \"$source\" ] || standing=Other\n");
        program.raw("echo \"$standing ${digest:+yes}\"\n[ \"$digest\" ] || exit 0\n");
        program.raw("case $standing in File|Directory) list \"$source\" ;; esac\n");
        let said = self.shell("read", b"").run(&program).await?;
        let mut reader = Reader::new(&said);
        let (side, path) = (Side::There, self.remote.shown());
        match reader.line()? {
            b"Nothing yes" => return Err(TransferError::Missing { side, path }),
            b"Other yes" => return Err(TransferError::Special { side, path }),
            line if line.ends_with(b" ") => return Err(TransferError::NoDigest),
            _ => {}
        }
        let tree = Tree::new(reader.files()?)?;
        reader.end()?;
        tree.ok_or(TransferError::Special { side, path })
    }

    /// Finds out where it goes, and makes a place beside that.
    async fn look(&self, tree: &Tree) -> Result<Target, TransferError> {
        let (local, name, force) =
            (self.local.clone(), self.remote.name().map(<[u8]>::to_vec), self.transfer.force);
        let (shown, directory) = (self.remote.shown(), tree.is_directory());
        blocking(move || {
            let written = local.as_os_str().as_bytes();
            let (mut path, mut standing) = (local.clone(), local::standing(&local)?);
            if standing == Standing::Directory {
                let name = name.ok_or(TransferError::Name(shown))?;
                let name = Path::new(OsStr::from_bytes(&name));
                path = if written == b"." { name.to_owned() } else { local.join(name) };
                standing = local::standing(&path)?;
            } else if written.ends_with(b"/") {
                return Err(TransferError::NoParent { side: Side::Here, path: written.to_vec() });
            }
            let bytes = || path.as_os_str().as_bytes().to_vec();
            let name = path.file_name().ok_or_else(|| TransferError::Name(bytes()))?;
            let part_path = path.with_file_name(OsStr::from_bytes(&part_name(name.as_bytes())));
            if !standing.gives_way(directory, force) {
                return Err(in_the_way(standing, directory, Side::Here, bytes()));
            }
            let place = Arc::new(Place::at(&path)?);
            let part = Arc::new(Place::at(&part_path)?);
            part.prepare(directory)?;
            Ok(Target { place, path, part, part_path, is_new: standing == Standing::Nothing })
        })
        .await
    }

    /// What is at the place where it grows.
    async fn survey(&self, target: &Target) -> Result<Tree, TransferError> {
        let path = target.part_path.clone();
        let found = blocking(move || local::walk(&path, false)).await?;
        let path = target.part_path.as_os_str().as_bytes().to_vec();
        found.ok_or(TransferError::Missing { side: Side::Here, path })
    }

    async fn compare<'t>(
        &self,
        tree: &'t Tree,
        there: &'t Tree,
        target: &Target,
    ) -> Result<Work<'t>, TransferError> {
        let files: Vec<_> =
            beginnings(tree, there).into_iter().map(|(path, bytes)| (path.to_vec(), bytes)).collect();
        // The hash of nothing needs no round trip.
        let (begun, empty): (Vec<_>, Vec<_>) = files.iter().cloned().partition(|(_, bytes)| *bytes > 0);
        let root = target.part_path.clone();
        let ours = blocking(move || local::hashes(&root, &files));
        let (mut theirs, ours) = tokio::try_join!(self.hashes(tree, &begun), ours)?;
        theirs.extend(empty.into_iter().map(|(path, _)| (path, Hash::of(b""))));
        Ok(Work::new(tree, there, &theirs, &ours.into_iter().collect()))
    }

    /// The hashes of what the server has, of the first so many bytes of each file.
    async fn hashes(
        &self,
        tree: &Tree,
        files: &[(Vec<u8>, u64)],
    ) -> Result<HashMap<Vec<u8>, Hash>, TransferError> {
        if files.is_empty() {
            return Ok(HashMap::new());
        }
        let sizes: HashMap<_, _> = tree.files().collect();
        let is_whole = |path: &Vec<u8>, bytes: u64| sizes.get(path.as_slice()) == Some(&bytes);
        let mut program = Text::program();
        program.raw("source=").path(&self.remote).raw("\n");
        if !tree.is_directory() {
            for (_, bytes) in files {
                // A program reads a file faster than a pipe.
                let is_whole = tree.bytes() == *bytes;
                let whole = "printf '.\\0\\0' && $digest \"$source\" || exit\n".to_owned();
                let begun = format!("beginning \"$source\" . {bytes}\n");
                program.raw(&if is_whole { whole } else { begun });
            }
        } else {
            program.raw("cd \"$source\" || exit\nsummarize() { sh -c \"$summarize\" sh \"$@\" || exit; }\n");
            let (whole, begun): (Vec<_>, Vec<_>) =
                files.iter().partition(|(path, bytes)| is_whole(path, *bytes));
            for files in pieces(&whole, ARGUMENT_BYTES, |(path, _)| path.len() as u64 + 8) {
                program.raw("summarize");
                for (path, _) in files {
                    program.raw(" ./").word(path);
                }
                program.raw("\n");
            }
            for (path, bytes) in begun {
                program.raw("beginning ./").word(path).raw(" ./").word(path).raw(&format!(" {bytes}\n"));
            }
        }
        program.raw("printf '\\0'\n");
        let said = self.shell("check", b"").run(&program).await?;
        let mut reader = Reader::new(&said);
        let hashes = reader.hashes()?;
        reader.end()?;
        Ok(hashes)
    }

    async fn copy(&self, tree: &Tree, work: Work<'_>, target: &Target) -> Result<(), TransferError> {
        self.meter.begin(work.done(tree), tree.bytes());
        let owned = |paths: &[&[u8]]| paths.iter().map(|path| path.to_vec()).collect::<Vec<_>>();
        let (remove, directories) = (owned(&work.remove), owned(&work.directories));
        let part = Arc::clone(&target.part);
        blocking(move || {
            remove.iter().try_for_each(|path| part.remove(path))?;
            directories.iter().try_for_each(|path| part.create_directory(path))
        })
        .await?;
        // Alone or resumed, or one of many.
        let (many, alone): (Vec<_>, Vec<_>) = work
            .files
            .iter()
            .partition(|file| tree.is_directory() && file.from == 0 && file.bytes <= BATCH_BYTES);
        let cost =
            |file: &&Missing<'_>| (file.path.len() as u64 + 8) * (BATCH_BYTES / ARGUMENT_BYTES) + file.bytes;
        for files in pieces(&many, BATCH_BYTES, cost) {
            let mut text = Text::default();
            text.raw("cd ").path(&self.remote).raw(" && exec cat");
            for file in files {
                text.raw(" ./").word(file.path);
            }
            self.receive(&text, files, target).await?;
        }
        for file in alone {
            let mut text = Text::default();
            if file.from == 0 {
                text.raw("exec cat <").path(&self.remote.below(file.path));
            } else {
                text.raw(&format!("exec tail -c +{} <", file.from + 1)).path(&self.remote.below(file.path));
            }
            self.receive(&text, &[file], target).await?;
        }
        // Last, though none is ever followed.
        let links: Vec<_> = work.links.iter().map(|(path, to)| (path.to_vec(), to.to_vec())).collect();
        let part = Arc::clone(&target.part);
        blocking(move || links.iter().try_for_each(|(path, to)| part.link(path, to))).await
    }

    /// Takes what a job writes: what is missing of these files, one after the other. What they have grown meanwhile is left.
    async fn receive(
        &self,
        text: &Text,
        files: &[&Missing<'_>],
        target: &Target,
    ) -> Result<(), TransferError> {
        let shell =
            self.shell("read", files.first().filter(|_| files.len() == 1).map_or(&b""[..], |file| file.path));
        let mut job = shell.command(text).start().await?;
        let complaint = complaint(&mut job);
        let Some(mut stdout) = job.stdout.take() else { return Ok(()) };
        let (pieces, written) = mpsc::channel(QUEUE);
        let (part, wanted) = (Arc::clone(&target.part), owned(files));
        let write = blocking(move || write(&part, wanted, written));
        let read = async {
            let ends = files.iter().scan(0, |end: &mut u64, file| {
                *end = end.saturating_add(file.bytes - file.from);
                Some((*end, file.path))
            });
            let (mut copied, total) = (0, ends.clone().last().map_or(0, |(end, _)| end));
            let mut ends = ends.peekable();
            while let Some(mut bytes) = stdout.next().await {
                while ends.next_if(|(end, _)| *end <= copied).is_some() {}
                if let Some((_, path)) = ends.peek() {
                    self.meter.file(path);
                }
                let has_grown = bytes.len() as u64 > total - copied;
                bytes.truncate(usize::try_from(total - copied).unwrap_or(usize::MAX));
                let len = bytes.len() as u64;
                // If it is not taken, the disk's error is what counts.
                if pieces.send(bytes).await.is_err() || has_grown {
                    return false;
                }
                copied += len;
                self.meter.copied(len);
            }
            drop(pieces);
            true
        };
        let whole = async {
            match tokio::join!(write, read) {
                (Ok(()), true) => Ok(()),
                (Ok(()), false) => Err(None),
                (Err(error), _) => Err(Some(error)),
            }
        };
        match tokio::try_join!(whole, async { Ok(complaint.await) }) {
            Ok(((), complaint)) => shell.finish(&job, &complaint).await,
            // What more it writes is of no use: it is ended when it is dropped.
            Err(None) => Ok(()),
            Err(Some(error)) => Err(error),
        }
    }

    /// Sets the modes, and gives it its name. `false` if somebody else has got that meanwhile.
    async fn finish(&self, tree: &Tree, target: &Target) -> Result<bool, TransferError> {
        let fill_up = tree.is_directory() && !target.is_new;
        let (tree, part, place) = (tree.clone(), Arc::clone(&target.part), Arc::clone(&target.place));
        let is_new = target.is_new;
        blocking(move || {
            for entry in tree.entries().iter().filter(|entry| matches!(entry.kind, Kind::File { .. })) {
                part.set_mode(&entry.path, entry.mode, false)?;
            }
            if fill_up {
                return fill(&tree, &part, &place).map(|()| true);
            }
            for directory in tree.directories_inside_out() {
                part.set_mode(&directory.path, directory.mode, true)?;
            }
            part.become_target(&place, !is_new)
        })
        .await
    }

    fn moved(&self, tree: &Tree, target: Vec<u8>) -> Moved {
        Moved {
            target,
            files: tree.files().count() as u64,
            bytes: tree.bytes(),
            copied: self.meter.moved(),
            left_out: tree.left_out().to_vec(),
        }
    }

    fn shell(&self, doing: &'static str, path: &[u8]) -> Shell<'a> {
        Shell::new(self.transfer.client, doing, self.remote.below(path).shown())
    }
}

/// Moves what is in the tree into a directory that is there. Links in that are not followed: what the server calls a directory
/// does not come to where one of them leads.
fn fill(tree: &Tree, part: &Place, place: &Place) -> Result<(), TransferError> {
    for entry in tree.entries() {
        match entry.kind {
            Kind::Directory if entry.path.is_empty() || place.has_directory(&entry.path) => {}
            Kind::Directory => place.create_directory(&entry.path)?,
            _ => part.move_to(place, &entry.path)?,
        }
    }
    for directory in tree.directories_inside_out() {
        place.set_mode(&directory.path, directory.mode, true)?;
    }
    part.remove(b"")
}

fn owned(files: &[&Missing<'_>]) -> Vec<(Vec<u8>, u64, u64)> {
    files.iter().map(|file| (file.path.to_vec(), file.from, file.bytes)).collect()
}

/// Writes what comes to one file after the other, until each has got its size.
fn write(
    part: &Place,
    files: Vec<(Vec<u8>, u64, u64)>,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<(), TransferError> {
    let mut piece = Bytes::new();
    for (path, from, bytes) in files {
        let mut file = part.open_file(&path, from)?;
        let mut left = bytes - from;
        while left > 0 {
            if piece.is_empty() {
                match pieces.blocking_recv() {
                    Some(next) => piece = next,
                    None => return Ok(()),
                }
            }
            let len = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let written = file.write_all(&piece.split_to(len));
            written.map_err(|error| part.failure("write", &path, error))?;
            left -= len as u64;
        }
    }
    Ok(())
}
