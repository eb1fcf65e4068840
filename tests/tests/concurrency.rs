//! Many at once: jobs on one connection, clients on one server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::Stdin;
use common::job::Outcome;
use tests::{DEADLINE, Running, TestServer, noise, wait_until, within, zombie_children};

#[track_caller]
fn leaves_no_zombie(server: &TestServer) {
    wait_until("no zombie is left", DEADLINE, || zombie_children(server.process_id()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_jobs_share_a_connection() {
    let server = TestServer::start();
    let client = server.connect().await;
    // None of them can end before it is told to, so all hundred run at the same time.
    let mut jobs = Vec::new();
    for number in 0..100_u8 {
        let mut command = client.shell("read word; echo $word; exit $word");
        command.stdin(Stdin::Piped);
        jobs.push((number, within("a job starts", command.spawn()).await.unwrap()));
    }
    for (number, job) in jobs.iter_mut().rev() {
        let stdin = job.stdin.take().unwrap();
        let taken = within("stdin is taken", stdin.write(format!("{number}\n").into())).await;
        assert!(taken, "the command reads it");
    }
    for (number, mut job) in jobs {
        let mut stdout = job.stdout.take().unwrap();
        let text = within("output arrives", stdout.read_to_end()).await;
        assert_eq!(text, format!("{number}\n").into_bytes());
        let finished = within("a job ends", job.wait()).await.unwrap();
        assert_eq!(finished.outcome, Outcome::Exited(number));
    }
    leaves_no_zombie(&server);
}

/// 1,000 at a time, from 20 connections; twice over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_jobs_run_at_once_and_each_has_its_own_outcome() {
    let server = TestServer::options().listen("127.0.0.1:0").patient().start();
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(server.connect().await);
    }
    for _round in 0..2 {
        let (mut jobs, mut slowest) = (Vec::new(), Duration::ZERO);
        for number in 0..1000_usize {
            // None can end before it is told to.
            let mut command = clients[number % clients.len()]
                .shell(format!("read word; echo $word {number}; exit {}", number % 200));
            command.stdin(Stdin::Piped);
            let asked = Instant::now();
            jobs.push(within("a job starts", command.spawn()).await.unwrap());
            slowest = slowest.max(asked.elapsed());
        }
        println!("the slowest start took {slowest:?}");
        for job in &mut jobs {
            let stdin = job.stdin.take().unwrap();
            assert!(within("stdin is taken", stdin.write("go\n".into())).await);
        }
        for (number, mut job) in jobs.into_iter().enumerate() {
            let mut stdout = job.stdout.take().unwrap();
            let text = within("output arrives", stdout.read_to_end()).await;
            assert_eq!(text, format!("go {number}\n").into_bytes());
            let finished = within("a job ends", job.wait()).await.unwrap();
            assert_eq!(finished.outcome, Outcome::Exited((number % 200) as u8));
        }
        leaves_no_zombie(&server);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_on_one_connection_do_not_mix_their_streams() {
    let server = TestServer::start();
    let client = Arc::new(server.connect().await);
    let mut tasks = Vec::new();
    for number in 0..8 {
        let bytes = noise(1_000_000 + number);
        let file = server.file(&format!("noise-{number}"), &bytes);
        let client = Arc::clone(&client);
        tasks.push(tokio::spawn(async move {
            let output = client.command("cat").arg(file).output().await.unwrap();
            assert!(output.outcome.is_success());
            assert!(output.stdout == bytes, "streams were mixed");
        }));
    }
    for task in tasks {
        within("a job ends", task).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_can_be_used_many_times_in_turn() {
    let server = TestServer::start();
    let client = server.connect().await;
    for number in 0..300 {
        let output =
            within("a job ends", client.command("echo").arg(number.to_string()).output()).await.unwrap();
        assert_eq!(output.stdout, format!("{number}\n").into_bytes());
    }
    leaves_no_zombie(&server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_dropped_is_ended_and_its_neighbour_is_not() {
    let server = TestServer::start();
    let client = server.connect().await;
    let mark = tests::Mark::new();
    let (name, value) = mark.variable();
    let mut kept = client.shell("read word; exit 5");
    let kept = within("a job starts", kept.stdin(Stdin::Piped).spawn()).await.unwrap();
    let mut dropped = client.shell("sleep 1000 & sleep 1000");
    let dropped = within("a job starts", dropped.env(name, value).spawn()).await.unwrap();
    drop(dropped);
    mark.wait_until_gone();
    kept.stdin.as_ref().unwrap().write("go on\n".into()).await;
    assert_eq!(within("a job ends", kept.wait()).await.unwrap().outcome, Outcome::Exited(5));
}

#[test]
fn fifty_clients_are_served_at_once() {
    let mut server = TestServer::start();
    let script = "echo ready; read word; echo $word; exit $word";
    let mut clients: Vec<Running> =
        (0..50).map(|_| Running::start(server.client().args(["run", script]))).collect();
    for client in &mut clients {
        client.wait_for_stdout("ready\n");
    }
    for (number, client) in clients.iter_mut().enumerate().rev() {
        client.write(format!("{number}\n").as_bytes());
    }
    for (number, client) in clients.into_iter().enumerate() {
        let ran = client.finish().exits(number as i32);
        assert_eq!(ran.text(), format!("ready\n{number}\n"));
    }
    server.still_serves();
    leaves_no_zombie(&server);
}
