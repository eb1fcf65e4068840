//! Jobs and pings started at the same time by many tasks on one connection keep their order on the wire.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use common::job::Outcome;
use tests::{TestServer, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_start_jobs_side_by_side_do_not_trip_over_each_other() {
    let server = TestServer::start();
    let client = Arc::new(server.connect().await);
    let tasks: Vec<_> = (0..32_u8)
        .map(|number| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                for _ in 0..20 {
                    client.ping().await.unwrap();
                    let outcome = client.shell(format!("exit {number}")).status().await.unwrap();
                    assert_eq!(outcome, Outcome::Exited(number));
                }
            })
        })
        .collect();
    for task in tasks {
        within("a task ends", task).await.unwrap();
    }
}
