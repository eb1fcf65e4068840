//! What an attack costs the server, as `/proc` tells it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Between two looks of a [`Maximum`].
const LOOK: Duration = Duration::from_millis(10);

/// Open descriptors of a process.
pub fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// Open sockets of a process, those that it listens on included.
pub fn sockets(process: u32) -> usize {
    let links = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    // One that was closed since the listing is none.
    let names = links.filter_map(|link| fs::read_link(link.path()).ok());
    names.filter(|name| name.to_string_lossy().starts_with("socket:")).count()
}

/// CPU time of a process so far, to a clock tick (proc_pid_stat(5)), without that of its children.
pub fn cpu_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name before the fields is in parentheses and may contain anything.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}

/// Children of a process that have not been waited for, whether they run or have ended.
pub fn direct_children(process: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    // A thread that has ended since has left its children to another.
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.map(|list| list.split_ascii_whitespace().count()).sum()
}

/// Lets this process, and those that it starts, have as many descriptors as the system grants; how many.
pub fn raise_descriptor_limit() -> u64 {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.unwrap_or(u64::MAX)
}

/// Looks at a number every 10 ms, in a thread of its own, and remembers the largest.
#[derive(Debug)]
pub struct Maximum {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Maximum {
    /// Looks until it is dropped or asked.
    pub fn of(mut look: impl FnMut() -> usize + Send + 'static) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&done);
        let thread = thread::spawn(move || {
            let mut most = look();
            while !asked.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
                most = most.max(look());
            }
            most
        });
        Self { done, thread: Some(thread) }
    }

    /// The largest so far; looks no more.
    pub fn take(mut self) -> usize {
        self.done.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Maximum {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}
