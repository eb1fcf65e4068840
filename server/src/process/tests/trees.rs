//! What comes of a job is ended with it, however it tries to leave: by cgroup, by sweep, and by a supervisor.
//!
//! Where this machine grants no cgroup, the first is tried like the second.

use common::job::Signal;

use super::*;

/// Processes that say the same: by their first argument, since some have cleared their environment.
fn count(word: &str) -> usize {
    let line = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).ok();
    let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(line);
    lines.filter(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())).count()
}

/// A number of seconds that no other test sleeps for.
fn long_time() -> String {
    format!("{}.{}", 10_000 + fastrand::u32(..80_000), fastrand::u32(..))
}

fn is_by_cgroup(containment: &Containment) -> bool {
    containment.hold(&ResourceLimits::default()).unwrap().group.is_some()
}

/// Runs `script`, in which `TIME` is how long each of `processes` sleeps; kills the tree, and waits until nobody sleeps.
async fn nobody_escapes(script: &str, processes: usize, containment: &Arc<Containment>) {
    let time = long_time();
    let Spawned { mut process, stdout: _stdout, stderr: _stderr, .. } =
        start(&shell(&script.replace("TIME", &time)), containment).unwrap();
    wait_until(script, async || count(&time) >= processes).await;
    assert!(!process.tree_is_gone().await);
    wait_until("the tree is gone", async || {
        process.signal_tree(Signal::KILL).await;
        process.tree_is_gone().await
    })
    .await;
    process.exited().await.unwrap();
    wait_until("nobody sleeps", async || count(&time) == 0).await;
    process.reap().unwrap();
}

const IN_THE_BACKGROUND: &str = "sleep TIME & sleep TIME & wait";
const ANOTHER_SESSION: &str = "setsid sleep TIME & sleep TIME";
const FORKED_TWICE: &str = "(setsid sh -c 'sleep TIME & exec sleep TIME' & exit 0) ; sleep TIME";
const WITHOUT_ENVIRONMENT: &str = "(setsid env -i sh -c '(sleep TIME &) ; exit 0' & exit 0); sleep TIME";
const LEADER_GONE: &str = "(setsid sleep TIME &) ; exit 0";

/// All of them, with the processes that are left of each.
const ESCAPES: [(&str, usize); 5] = [
    (IN_THE_BACKGROUND, 2),
    (ANOTHER_SESSION, 2),
    (FORKED_TWICE, 3),
    (WITHOUT_ENVIRONMENT, 2),
    (LEADER_GONE, 1),
];

#[tokio::test]
async fn by_cgroup_nobody_escapes() {
    let containment = Containment::of_server();
    if !is_by_cgroup(&containment) {
        return;
    }
    for (script, count) in ESCAPES {
        nobody_escapes(script, count, &containment).await;
    }
}

#[tokio::test]
async fn by_sweep_nobody_escapes_who_keeps_the_mark_or_a_parent() {
    let containment = Containment::by_sweep(true);
    for (script, count) in [(IN_THE_BACKGROUND, 2), (ANOTHER_SESSION, 2), (FORKED_TWICE, 3), (LEADER_GONE, 1)]
    {
        nobody_escapes(script, count, &containment).await;
    }
}

#[tokio::test]
async fn a_sweep_remembers_whom_it_has_seen() {
    let containment = Containment::by_sweep(true);
    let time = long_time();
    // Without the mark, and from its parent's end on without a parent.
    let script = format!("setsid env -i sleep {time} & read end");
    let mut spec = shell(&script);
    spec.stdin = true;
    let Spawned { mut process, stdin, stdout: _stdout, stderr: _stderr, .. } =
        start(&spec, &containment).unwrap();
    wait_until("it sleeps", async || count(&time) == 1).await;
    assert!(!process.tree_is_gone().await);
    drop(stdin);
    process.exited().await.unwrap();
    assert!(!process.tree_is_gone().await);
    wait_until("the tree is gone", async || {
        process.signal_tree(Signal::KILL).await;
        process.tree_is_gone().await
    })
    .await;
    assert_eq!(count(&time), 0);
    process.reap().unwrap();
}

#[tokio::test]
async fn fork_bombs_lose() {
    let bomb = "bomb() { sleep TIME & if [ $1 -gt 0 ]; then bomb $(($1 - 1)) & setsid sh -c 'sleep TIME' & fi; wait; }; bomb 66";
    for containment in [Containment::of_server(), Containment::by_sweep(true)] {
        nobody_escapes(bomb, 133, &containment).await;
    }
}

#[tokio::test]
async fn another_job_is_not_touched() {
    for containment in [Containment::of_server(), Containment::by_sweep(true)] {
        let time = long_time();
        let mut other = start(&shell(&format!("setsid sleep {time} & wait")), &containment).unwrap().process;
        wait_until("it sleeps", async || count(&time) == 1).await;
        nobody_escapes(ANOTHER_SESSION, 2, &containment).await;
        assert_eq!(count(&time), 1);
        assert!(!other.tree_is_gone().await);
        wait_until("the tree is gone", async || {
            other.signal_tree(Signal::KILL).await;
            other.tree_is_gone().await
        })
        .await;
        other.reap().unwrap();
    }
}

#[tokio::test]
async fn a_signal_reaches_every_group_once() {
    let directory = tempfile::tempdir().unwrap();
    let said = directory.path().join("said");
    for containment in [Containment::of_server(), Containment::by_sweep(true)] {
        fs::write(&said, "").unwrap();
        let script = r#"
            export SAY='trap "echo $0 got it >> FILE" USR1; echo $0 >> FILE; while :; do sleep 0.05; done'
            setsid sh -c "$SAY" second &
            exec sh -c "$SAY" first"#;
        let script = script.replace("FILE", said.to_str().unwrap());
        let Spawned { mut process, stdout: _stdout, stderr: _stderr, .. } =
            start(&shell(&script), &containment).unwrap();
        let lines = || {
            let mut lines: Vec<_> = fs::read_to_string(&said).unwrap().lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        wait_until("both are there", async || lines().len() == 2).await;
        process.signal_tree(Signal::USR1).await;
        wait_until("both got it", async || lines().len() >= 4).await;
        process.signal_tree(Signal::KILL).await;
        process.exited().await.unwrap();
        assert_eq!(lines(), ["first", "first got it", "second", "second got it"]);
        process.reap().unwrap();
    }
}

/// Run by itself, in a process that has nothing else to do: every child of it is the job's.
#[tokio::test]
#[ignore = "in a process of its own: see `a_supervisor_ends_all_that_descends_from_it`"]
async fn supervised() {
    let containment = Containment::of_supervisor(false);
    let (reaping, job) = (containment.reap_orphans(), async {
        for (script, count) in ESCAPES {
            nobody_escapes(script, count, &containment).await;
        }
        let own = std::process::id().to_string();
        let is_zombie = |entry: &fs::DirEntry| {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.next() == Some("Z") && fields.next() == Some(&own)
        };
        wait_until("all orphans are taken leave of", async || {
            !fs::read_dir("/proc").unwrap().flatten().any(|entry| is_zombie(&entry))
        })
        .await;
    });
    tokio::select! {
        () = reaping => panic!("no orphan is taken leave of any more"),
        () = job => {}
    }
}

#[test]
fn a_supervisor_ends_all_that_descends_from_it() {
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    let output = alone.args(["--ignored", "--exact", "process::tests::trees::supervised"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
