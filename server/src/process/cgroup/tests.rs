//! Against the real cgroups of this machine where it grants some, and a directory of plain files where it has no controllers.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::*;

/// A directory that looks like a cgroup with these files.
fn fake(files: &[(&str, &str)]) -> (tempfile::TempDir, Directory) {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let opened = Directory::open(directory.path()).unwrap();
    (directory, opened)
}

/// A job's cgroup that looks so.
fn fake_group(files: &[(&str, &str)], parent: &'static str) -> (tempfile::TempDir, Group) {
    let (temporary, directory) = fake(files);
    let own = Directory::open(temporary.path()).unwrap();
    let base = own.make("base").unwrap();
    let jobs = base.make(JOBS).unwrap();
    let home = Arc::new(Cgroups {
        own,
        base,
        name: "base".to_owned(),
        path: temporary.path().to_owned(),
        jobs,
        controllers: OnceLock::new(),
        may_move: false,
        state: Mutex::default(),
    });
    let place =
        Place { directory, parent, name: "1".to_owned(), used_before: 10, spoilt: AtomicBool::new(true) };
    (temporary, Group { place: Some(place), home })
}

#[test]
fn settings_are_written_where_the_kernel_has_them() {
    let (files, group) = fake_group(&[("memory.max", "max"), ("cpu.max", "max 100000")], LIMITED);
    let setting = |file, optional| Setting { file, value: "12345 67".to_owned(), optional };
    group.set(&setting("cpu.max", false)).unwrap();
    assert_eq!(fs::read_to_string(files.path().join("cpu.max")).unwrap(), "12345 6700");
    group.set(&setting("memory.swap.max", true)).unwrap();
    assert!(!files.path().join("memory.swap.max").exists());
    let (file, error) = group.set(&setting("pids.max", false)).unwrap_err();
    assert_eq!((file, error.kind()), ("pids.max", io::ErrorKind::NotFound));
}

#[test]
fn what_a_job_has_used_is_read_from_its_files() {
    let files = [
        ("cpu.stat", "usage_usec 1234\nuser_usec 1000\n"),
        ("memory.peak", "65536\n"),
        ("memory.events", "low 0\noom 1\noom_kill 2\noom_group_kill 1\n"),
        ("cgroup.events", "populated 1\nfrozen 0\n"),
    ];
    let (_files, group) = fake_group(&files, LIMITED);
    assert_eq!(
        (group.used(), group.peak_memory(), group.is_out_of_memory()),
        (Some(1224), Some(65536), true)
    );
    assert!(!group.is_empty().unwrap());
    let (_files, group) = fake_group(&[("memory.events", "oom 1\noom_kill 0\n")], LIMITED);
    assert_eq!((group.used(), group.peak_memory(), group.is_out_of_memory()), (None, None, false));
    assert!(group.is_empty().is_err());
}

#[test]
fn controllers_are_handed_down_step_by_step() {
    let (files, own) =
        fake(&[("cgroup.controllers", "cpuset cpu io memory"), ("cgroup.subtree_control", "")]);
    let base = own.make("base").unwrap();
    let limited = base.make(LIMITED).unwrap();
    drop(limited);
    for directory in ["base", "base/limited"] {
        fs::write(files.path().join(directory).join("cgroup.subtree_control"), "").unwrap();
        fs::write(files.path().join(directory).join("cgroup.controllers"), "cpu memory").unwrap();
    }
    let controllers = controllers::enable(&own, &base, LIMITED, true);
    assert_eq!((controllers.memory, controllers.cpu, controllers.pids), (true, true, false));
    assert_eq!(controllers.missing, "the server's cgroup has only these controllers: cpu memory");
    for directory in [".", "base", "base/limited"] {
        let asked = fs::read_to_string(files.path().join(directory).join("cgroup.subtree_control")).unwrap();
        assert_eq!(asked, "+memory +cpu", "{directory}");
    }
    let (_files, none) = fake(&[("cgroup.controllers", "hugetlb\n")]);
    let controllers = controllers::enable(&none, &base, LIMITED, true);
    assert_eq!(controllers.missing, "the server's cgroup has only these controllers: hugetlb");
    assert!(!controllers.memory && !controllers.cpu && !controllers.pids);
}

/// A cgroup for this test alone, in which it has servers; `None` where this machine grants none.
struct Ground(PathBuf);

impl Ground {
    fn new(name: &str) -> Option<Self> {
        let [mounts, cgroups] =
            ["/proc/self/mountinfo", "/proc/self/cgroup"].map(|path| fs::read_to_string(path).unwrap());
        let path =
            place::own_directory(&mounts, &cgroups)?.join(format!("test.{}.{name}", std::process::id()));
        fs::create_dir(&path).ok()?;
        path.join("cgroup.kill").exists().then_some(Self(path))
    }

    fn directories(&self) -> Vec<String> {
        Directory::open(&self.0).unwrap().below().unwrap()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let (parent, name) = (self.0.parent().unwrap(), self.0.file_name().unwrap());
        Directory::open(parent).unwrap().remove(name.to_str().unwrap()).ok();
    }
}

#[test]
fn a_cgroup_is_used_again_until_somebody_stays_in_it_or_it_was_killed() {
    let Some(ground) = Ground::new("again") else { return };
    let cgroups = Cgroups::below(&ground.0, false).unwrap();
    let name = |group: &Group| group.place.as_ref().unwrap().name.clone();
    let first = cgroups.group(&[]).unwrap();
    assert_eq!(name(&first), "1");
    drop(first);
    let again = cgroups.group(&[]).unwrap();
    assert_eq!(name(&again), "1");
    again.kill().unwrap();
    drop(again);
    let next = cgroups.group(&[]).unwrap();
    assert_eq!(name(&next), "2");
    let procs = cgroups.path().join("jobs/2/cgroup.procs");
    let mut sleep = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
    fs::write(procs, sleep.id().to_string()).unwrap();
    assert!(!next.is_empty().unwrap());
    let groups = next.process_groups().unwrap();
    assert_eq!(groups.len(), 1);
    drop(next);
    let other = cgroups.group(&[]).unwrap();
    assert_eq!(name(&other), "3");
    assert!(cgroups.path().join("jobs/2").exists());
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    drop(other);
    assert!(!cgroups.path().join("jobs/2").exists(), "removed once it is empty");
    drop(cgroups);
    assert_eq!(ground.directories(), [] as [String; 0]);
}

#[test]
fn what_a_job_has_made_of_its_cgroup_does_not_reach_the_next() {
    let Some(ground) = Ground::new("spoilt") else { return };
    let cgroups = Cgroups::below(&ground.0, false).unwrap();
    let name = |group: &Group| group.place.as_ref().unwrap().name.clone();
    let frozen = cgroups.group(&[]).unwrap();
    frozen.directory().unwrap().write("cgroup.freeze", "1").unwrap();
    drop(frozen);
    let divided = cgroups.group(&[]).unwrap();
    assert_eq!(name(&divided), "2");
    divided.directory().unwrap().make("below").unwrap().make("further").unwrap();
    drop(divided);
    assert_eq!(name(&cgroups.group(&[]).unwrap()), "3");
    assert_eq!(cgroups.jobs.below().unwrap(), ["3"]);
}

#[test]
fn a_new_server_takes_away_what_dead_ones_left_and_nothing_of_those_that_live() {
    let Some(ground) = Ground::new("left") else { return };
    let left = ground.0.join("telex.1");
    fs::create_dir_all(left.join("jobs/1/below")).unwrap();
    let inhabited = ground.0.join("telex.2/jobs/7");
    fs::create_dir_all(&inhabited).unwrap();
    fs::create_dir(ground.0.join("telex.2/jobs/8")).unwrap();
    let mut sleep = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
    fs::write(inhabited.join("cgroup.procs"), sleep.id().to_string()).unwrap();
    let first = Cgroups::below(&ground.0, false).unwrap();
    let second = Cgroups::below(&ground.0, false).unwrap();
    second.clean();
    let mut found = ground.directories();
    found.sort();
    let own = format!("telex.{}", std::process::id());
    let mut expected = ["telex.2".to_owned(), own.clone(), format!("{own}.1")];
    expected.sort();
    assert_eq!(found, expected);
    assert!(inhabited.exists() && !ground.0.join("telex.2/jobs/8").exists());
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    drop((first, second));
    let third = Cgroups::below(&ground.0, false).unwrap();
    third.clean();
    drop(third);
    assert_eq!(ground.directories(), [] as [String; 0]);
}
