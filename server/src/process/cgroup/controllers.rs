//! The controllers that jobs can be limited with: which there are, and what it takes to have them.

use std::io;

use rustix::io::Errno;

use super::files::Directory;
use super::place::LEAF;

/// Those that limits need.
const WANTED: [&str; 3] = ["memory", "cpu", "pids"];

/// Which controllers count for the jobs of this server, and why not the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::process) struct Controllers {
    pub(in crate::process) memory: bool,
    pub(in crate::process) cpu: bool,
    pub(in crate::process) pids: bool,
    /// Why some are not there.
    pub(in crate::process) missing: String,
}

impl Controllers {
    /// None, for this reason.
    pub(in crate::process) fn none(missing: impl Into<String>) -> Self {
        Self { missing: missing.into(), ..Self::default() }
    }

    /// As a `cgroup.controllers` lists them.
    fn parse(text: &str) -> Self {
        let has = |name| text.split_whitespace().any(|word| word == name);
        let missing = format!("the server's cgroup has only these controllers: {}", text.trim());
        let missing =
            if text.trim().is_empty() { "the server's cgroup has no controllers".into() } else { missing };
        Self { memory: has("memory"), cpu: has("cpu"), pids: has("pids"), missing }
    }
}

/// Has `own` hand down what it has of the controllers to `base`, which is below it, and that to `limited`, below that.
///
/// A cgroup that has processes cannot hand on any. If it has those of this process alone, and `may_move`, they move to a
/// cgroup of their own below it.
pub(super) fn enable(own: &Directory, base: &Directory, limited: &str, may_move: bool) -> Controllers {
    let text = match own.read("cgroup.controllers") {
        Ok(text) => text,
        Err(error) => return Controllers::none(format!("cgroup.controllers: {error}")),
    };
    let there: Vec<_> =
        WANTED.into_iter().filter(|name| text.split_whitespace().any(|word| word == *name)).collect();
    let request = there.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    if request.is_empty() {
        return Controllers::parse(&text);
    }
    if let Err(error) = hand_down(own, &request, may_move) {
        return Controllers::none(match Errno::from_io_error(&error) {
            Some(Errno::BUSY) => "there are other processes in the server's cgroup".to_owned(),
            _ => format!("the server's cgroup hands on no controllers: {error}"),
        });
    }
    let limited = base.write("cgroup.subtree_control", &request).and_then(|()| match base.make(limited) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => base.open_below(limited),
        made => made,
    });
    match limited.and_then(|limited| {
        limited.write("cgroup.subtree_control", &request)?;
        limited.read("cgroup.controllers")
    }) {
        Ok(text) => Controllers::parse(&text),
        Err(error) => Controllers::none(format!("the jobs' cgroup takes no controllers: {error}")),
    }
}

fn hand_down(own: &Directory, request: &str, may_move: bool) -> io::Result<()> {
    match own.write("cgroup.subtree_control", request) {
        Err(error) if may_move && Errno::from_io_error(&error) == Some(Errno::BUSY) => {}
        result => return result,
    }
    let leaf = match own.make(LEAF) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => own.open_below(LEAF)?,
        made => made?,
    };
    // 0 is who writes it.
    leaf.write("cgroup.procs", "0")?;
    own.write("cgroup.subtree_control", request).inspect_err(|_| {
        // Somebody else is there: as it was.
        own.write("cgroup.procs", "0").and_then(|()| own.remove(LEAF)).ok();
    })
}
