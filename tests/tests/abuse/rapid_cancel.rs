//! Jobs that are cancelled as soon as they are started: their number at a time is bounded, and all of them come to an end.

use std::time::{Duration, Instant};

use common::frame::JobNumber;
use common::job::{Outcome, Program, Spec};
use common::limits::JOBS_PER_CONNECTION;
use common::message::{Order, ServerMessage};
use common::packet::Packet;
use tests::flood::{Insider, Maximum, Probe, connect_task_from, direct_children, source};
use tests::{TestServer, client_key, order, start_spec, wait_until, within, zombie_children};

use super::{address, on_this_machine};

/// What became of the jobs.
#[derive(Debug, Default)]
struct Ends {
    ended: u32,
    refused: u32,
    other: u32,
}

/// Starts and cancels so many jobs at once.
async fn start_and_cancel(server: std::net::SocketAddr, jobs: u32) -> Ends {
    let stream = connect_task_from(source(1), server).await.unwrap();
    let mut insider = Insider::enter(stream, client_key()).await;
    let Insider { reader, sender, .. } = &mut insider;
    let asking = async {
        for number in 1..=jobs {
            let spec = Spec::new(Program::Shell("sleep 60".into()));
            let start = start_spec(spec);
            for message in [start, order(Order::Cancel)] {
                let job = JobNumber(number);
                sender.send_control(Packet::Message { job, message }).await.expect("the server has closed");
            }
        }
    };
    let hearing = async {
        let mut ends = Ends::default();
        while ends.ended + ends.refused + ends.other < jobs {
            let packet = within("an answer comes", reader.next()).await.unwrap();
            match packet.expect("the server has closed") {
                Packet::Message { message: ServerMessage::Ended(ended), .. } => match ended.outcome {
                    Outcome::Cancelled => ends.ended += 1,
                    Outcome::NotStarted(_) => ends.refused += 1,
                    _ => ends.other += 1,
                },
                Packet::Close(close) => panic!("the server closes: {close:?}, after {ends:?}"),
                _ => {}
            }
        }
        ends
    };
    tokio::join!(asking, hearing).1
}

async fn run(jobs: u32) -> Duration {
    let mut server = TestServer::start();
    server.run(["true"]).exits(0);
    let process = server.process_id();
    let probe = Probe::start(&server, Duration::from_millis(200));
    let children = Maximum::of(move || direct_children(process));
    let begun = Instant::now();
    let ends = start_and_cancel(address(&server), jobs).await;
    let took = begun.elapsed();
    let children = children.take();
    let latencies = probe.finish();
    println!("{ends:?} in {took:?}; at most {children} children; {latencies}");

    // The probe's own is one more.
    assert!(children <= JOBS_PER_CONNECTION + 1, "{children} children at a time");
    assert_eq!(ends.other, 0, "{ends:?}");
    assert_eq!(ends.ended + ends.refused, jobs, "{ends:?}");
    let soon = on_this_machine(Duration::from_secs(5));
    wait_until("no child and no zombie is left", soon, || direct_children(process) == 0);
    assert_eq!(zombie_children(process), [0_u32; 0]);
    latencies.are_served();
    server.still_serves();
    latencies.percentile(99)
}

/// 300 jobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn jobs_that_are_started_and_cancelled_at_once_are_never_many() {
    run(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "has the machine to itself"]
async fn five_thousand_jobs_that_are_started_and_cancelled_at_once_delay_nobody() {
    let p99 = run(5_000).await;
    assert!(p99 < on_this_machine(Duration::from_secs(1)), "{p99:?}");
}
