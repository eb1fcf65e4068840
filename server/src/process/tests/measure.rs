//! What a start costs: for those who change it. `cargo test --release -p server --lib start_costs -- --ignored --nocapture`

use std::time::Instant;

use super::*;

const STARTS: usize = 2000;

async fn median(containment: &Arc<Containment>) -> (Duration, Duration) {
    let mut spec = Spec::new(Program::Argv(vec!["/bin/true".into()]));
    spec.directory = Some("/".into());
    let (mut starts, mut wholes) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let begin = Instant::now();
        let Spawned { mut process, .. } = start(&spec, containment).unwrap();
        starts.push(begin.elapsed());
        process.exited().await.unwrap();
        process.reap().unwrap();
        wholes.push(begin.elapsed());
    }
    starts.sort();
    wholes.sort();
    (starts[STARTS / 2], wholes[STARTS / 2])
}

#[tokio::test]
#[ignore = "a measurement"]
async fn start_costs() {
    for megabytes in [50, 1000] {
        let ballast = vec![1_u8; megabytes << 20];
        for (name, containment) in
            [("server", Containment::of_server()), ("sweep", Containment::by_sweep(false))]
                .into_iter()
                .cycle()
                .take(4)
        {
            let (start, whole) = median(&containment).await;
            eprintln!("{megabytes} MB, {name}: start {start:?}, start to reap {whole:?}");
        }
        drop(ballast);
    }
}
