//! The cgroups of the program before this one in the same process, which go on as they are: locked all the time, so that no
//! other server takes them for left.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::fstat;

use super::files::Directory;
use super::{Cgroups, Group, JOBS, LIMITED, Place, State, home};
use crate::parcel::Packing;
use crate::process::handed::{HandedCgroups, HandedGroup};

impl Cgroups {
    /// Leaves them to the next program, if there will be one.
    pub(in crate::process) fn hand<'a>(&'a self, packing: &mut Packing<'a>) -> HandedCgroups {
        HandedCgroups { base: packing.descriptor(self.base.as_fd()), name: self.name.clone() }
    }

    /// Goes on with those of the directory `base`, which is called `name`.
    ///
    /// # Errors
    /// What does not fit, for people.
    pub(in crate::process) fn again(
        name: String,
        base: OwnedFd,
        may_move: bool,
    ) -> Result<Arc<Self>, String> {
        Self::again_below(&home()?, name, Directory::from(base), may_move)
    }

    pub(super) fn again_below(
        path: &Path,
        name: String,
        base: Directory,
        may_move: bool,
    ) -> Result<Arc<Self>, String> {
        let explain = |error: std::io::Error| format!("{}: {error}", path.display());
        let own = Directory::open(path).map_err(explain)?;
        if !own.open_below(&name).is_ok_and(|found| is_same(&found, &base)) {
            return Err(format!("{}: {name} is another one", path.display()));
        }
        let jobs = base.open_below(JOBS).map_err(explain)?;
        let below = |parent: &'static str| {
            let names = base.open_below(parent).and_then(|parent| parent.below()).unwrap_or_default();
            names.into_iter().map(move |name| (parent, name))
        };
        // Those that nobody is in are taken away as jobs end.
        let lingering: VecDeque<_> = below(JOBS).chain(below(LIMITED)).collect();
        let made = lingering.iter().filter_map(|(_, name)| name.parse().ok()).max().unwrap_or_default();
        let state = State { made, idle: Vec::new(), lingering };
        Ok(Arc::new(Self {
            path: path.join(&name),
            own,
            base,
            name,
            jobs,
            controllers: OnceLock::new(),
            may_move,
            state: Mutex::new(state),
        }))
    }

    /// Goes on with the cgroup of a job; `None` if it is not one of these.
    pub(in crate::process) fn group_again(
        self: &Arc<Self>,
        handed: HandedGroup,
        directory: OwnedFd,
    ) -> Option<Group> {
        let HandedGroup { name, limited, used_before, spoilt, .. } = handed;
        let parent = if limited { LIMITED } else { JOBS };
        let found = self.base.open_below(parent).and_then(|parent| parent.open_below(&name)).ok()?;
        let directory = Directory::from(directory);
        if !is_same(&found, &directory) {
            return None;
        }
        self.state().lingering.retain(|(of, other)| *of != parent || *other != name);
        let place = Place { directory, parent, name, used_before, spoilt: AtomicBool::new(spoilt) };
        Some(Group { place: Some(place), home: Arc::clone(self) })
    }
}

impl Group {
    /// Leaves it to the next program, if there will be one.
    pub(in crate::process) fn hand<'a>(&'a self, packing: &mut Packing<'a>) -> Option<HandedGroup> {
        let place = self.place.as_ref()?;
        Some(HandedGroup {
            directory: packing.descriptor(place.directory.as_fd()),
            name: place.name.clone(),
            limited: place.parent == LIMITED,
            used_before: place.used_before,
            spoilt: place.spoilt.load(Ordering::Relaxed),
        })
    }
}

fn is_same(one: &Directory, other: &Directory) -> bool {
    let identity = |directory: &Directory| fstat(directory).map(|found| (found.st_dev, found.st_ino)).ok();
    identity(one).is_some_and(|found| identity(other) == Some(found))
}
