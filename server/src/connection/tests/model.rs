//! Clients, servers and commands in memory, and random histories of them: lines that lose what is under way, ends that notice it
//! late or never, servers that die, clients that come again, take over, leave and die.
//!
//! The rules are the ones that run: the client's library above its connections, the server's below them. What the test has in its
//! hand is what lies between (every packet), time, and the commands.
//!
//! Throughout: a job is started at most once; what is delivered is what was written, once, in order and without a silent gap; an
//! outcome is said once, and is true; nobody breaks a rule of the wire; orders are carried out once and in their order. In the end:
//! every wait ends.
//!
//! One history again: `MODEL_SEED=… cargo test -p server model`. The order in which tokio looks at things that are ready at the same
//! time is not in the seed, so it is tried some times.

mod asking;
mod held;
mod history;
mod promises;
mod server;
mod steps;
mod wire;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use history::World;
use steps::{Step, steps};
use tokio::runtime;

use crate::job::stage::Stage;
use crate::service::Service;

/// How often a history is tried again that may fail.
const TRIES: usize = 50;

/// Histories of the ordinary test.
const SOME: u64 = 5_000;

fn service() -> Arc<Service> {
    Arc::new(Service::of_histories())
}

/// What is wrong in this history, if something is.
fn fault(service: &Arc<Service>, seed: u64, steps: &[Step]) -> Option<String> {
    let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let run = || {
        runtime.block_on(async {
            let mut world = World::new(service, seed).await;
            for step in steps {
                world.step(*step).await?;
            }
            world.finish().await
        })
    };
    let run = catch_unwind(AssertUnwindSafe(run));
    // Tests behind this one have real jobs.
    Stage::strike();
    match run {
        Ok(done) => done.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(
                text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                    .unwrap_or_default(),
            )
        }
    }
}

fn fails(service: &Arc<Service>, seed: u64, steps: &[Step]) -> Option<String> {
    (0..TRIES).find_map(|_| fault(service, seed, steps))
}

/// As few steps as still fail.
fn shortened(service: &Arc<Service>, seed: u64, mut steps: Vec<Step>) -> Vec<Step> {
    let mut at = steps.len();
    while at > 0 {
        at -= 1;
        let mut fewer = steps.clone();
        fewer.remove(at);
        if fails(service, seed, &fewer).is_some() {
            steps = fewer;
        }
    }
    steps
}

/// Ends the test with what is wrong, and with how it comes about.
fn report(service: &Arc<Service>, seed: u64, fault: &str) -> ! {
    let short = shortened(service, seed, steps(seed));
    let again = fails(service, seed, &short);
    let lines: Vec<_> = short.iter().map(|step| format!("  {step:?}")).collect();
    panic!("seed {seed}: {fault}\nshortened: {again:?}\n{}", lines.join("\n"));
}

fn histories(seeds: std::ops::Range<u64>) {
    let (begun, next) = (Instant::now(), Arc::new(AtomicU64::new(seeds.start)));
    let count = thread::available_parallelism().map_or(1, usize::from);
    let threads: Vec<_> = (0..count)
        .map(|_| {
            let (next, end) = (Arc::clone(&next), seeds.end);
            thread::spawn(move || {
                let service = service();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if let Some(fault) = fault(&service, seed, &steps(seed)) {
                        next.store(end, Ordering::Relaxed);
                        report(&service, seed, &fault);
                    }
                }
            })
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(thread::JoinHandle::join).collect();
    println!("{} histories in {:?}", seeds.end - seeds.start, begun.elapsed());
    assert!(results.iter().all(Result::is_ok), "a history failed");
}

/// Does this in a process of its own: what other tests start holds the ends of sockets and locks open for a moment.
fn alone(test: &str, work: impl FnOnce()) {
    const ALONE: &str = "MODEL_ALONE";
    if env::var_os(ALONE).is_some() {
        return work();
    }
    let test = format!("connection::tests::model::{test}");
    let arguments = [test.as_str(), "--exact", "--include-ignored", "--nocapture"];
    let status = Command::new(env::current_exe().unwrap()).args(arguments).env(ALONE, "1").status();
    assert!(status.unwrap().success(), "a history failed");
}

#[test]
fn some_random_histories_keep_every_promise() {
    alone("some_random_histories_keep_every_promise", || {
        match env::var("MODEL_SEED").ok().and_then(|seed| seed.parse().ok()) {
            Some(seed) => {
                let service = service();
                if let Some(fault) = fails(&service, seed, &steps(seed)) {
                    report(&service, seed, &fault);
                }
            }
            None => histories(0..SOME),
        }
    });
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_thousand_random_histories_keep_every_promise() {
    alone("a_hundred_thousand_random_histories_keep_every_promise", || histories(0..100_000));
}
