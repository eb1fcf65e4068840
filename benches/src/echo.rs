//! A key on a terminal, from where it is typed to there and back: how long until it is shown.

use std::mem;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::goal::Goal;
use crate::options::Options;
use crate::peers::{OpenSsh, installed};
use crate::report::{Report, Table};
use crate::sandbox::Sandbox;
use crate::statistics::Samples;
use crate::typist::{ECHO, Typist};
use crate::under_test::{Programs, Telex};

/// How many times as long as with ssh a key may take.
const GOAL: f64 = 1.0;

/// Keys a round, and how many of them one types before it is the next one's turn.
const KEYS: usize = 2000;
const TURN: usize = 100;

/// Keys before the first that counts.
const FIRST: u32 = 50;

/// Pauses between two keys: nobody types faster than his keyboard repeats, but what is left to do behind a key should be done
/// before the next, and a pause that is always the same might fit somebody's clock.
const PAUSE: (u64, u64) = (200, 1800);

const MICROSECONDS: f64 = 1e6;

/// Somebody who takes part; a number a round.
struct Contestant {
    name: &'static str,
    typist: Typist,
    /// Of this round.
    keys: Samples,
    p50: Samples,
    p99: Samples,
    minimum: Samples,
    judged: bool,
}

impl Contestant {
    fn new(name: &'static str, typist: Typist) -> Self {
        let [keys, p50, p99, minimum] = [(); 4].map(|()| Samples::default());
        Self { name, typist, keys, p50, p99, minimum, judged: false }
    }

    fn judged(mut self) -> Self {
        self.judged = true;
        self
    }

    /// One turn.
    fn types(&mut self, random: &mut fastrand::Rng) -> Result<()> {
        for _ in 0..TURN {
            thread::sleep(Duration::from_micros(random.u64(PAUSE.0..PAUSE.1)));
            self.keys.push(self.typist.key()? * MICROSECONDS);
        }
        Ok(())
    }

    /// The end of a round.
    fn count(&mut self) {
        let keys = mem::take(&mut self.keys);
        self.p50.push(keys.median());
        self.p99.push(keys.percentile(99));
        self.minimum.push(keys.minimum());
    }
}

pub(crate) fn measure(options: &Options, programs: &Programs, report: &mut Report) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let telex = Telex::start(programs, &sandbox)?;
    telex.check_client(&sandbox)?;
    let ssh = installed("OpenSSH", OpenSsh::start(&sandbox), report);
    let on = |address| Typist::sit_down(telex.run_on_terminal(&sandbox, address, ECHO));
    let mut contestants = vec![
        Contestant::new("a terminal here", Typist::sit_down(sandbox.local_shell(ECHO))?),
        Contestant::new("client run -t, TCP", on(&telex.tcp)?).judged(),
        Contestant::new("client run -t, Unix socket", on(&telex.unix)?),
    ];
    if let Some(ssh) = &ssh {
        contestants.push(Contestant::new("ssh -tt", Typist::sit_down(ssh.run_on_terminal(&sandbox, ECHO))?));
    }
    let rounds = options.rounds(9, 1);
    race(&mut contestants, rounds)?;
    report.table(table(
        &contestants,
        ssh.is_some(),
        &format!("a key on a terminal, {rounds} rounds of {KEYS}"),
    ));
    Ok(())
}

/// Everybody types as many keys a round, in turns that come in another order each time.
fn race(contestants: &mut [Contestant], rounds: u32) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(rounds.into());
    let mut order: Vec<_> = contestants.iter_mut().collect();
    for contestant in &mut order {
        for _ in 0..FIRST {
            contestant.typist.key()?;
        }
    }
    for _ in 0..rounds {
        for _ in 0..KEYS / TURN {
            random.shuffle(&mut order);
            for contestant in &mut order {
                contestant.types(&mut random)?;
            }
        }
        order.iter_mut().for_each(|contestant| contestant.count());
    }
    Ok(())
}

/// Medians of the rounds, the ratios those within a round. The last is ssh, if there is one.
fn table(contestants: &[Contestant], has_ssh: bool, title: &str) -> Table {
    let ssh = contestants.last().filter(|_| has_ssh);
    let beside = |who: &Contestant, of: fn(&Contestant) -> &Samples| {
        ssh.map_or(f64::NAN, |ssh| of(who).ratios(of(ssh)).median())
    };
    let mut table = Table::new(title, &["p50 us", "p99 us", "min us", "x ssh", "p99 x ssh"]);
    for who in contestants {
        let (ratio, late) = (beside(who, |who| &who.p50), beside(who, |who| &who.p99));
        let goal = who.judged.then(|| Goal::at_most(ratio, GOAL, "x ssh -tt"));
        let numbers = [who.p50.median(), who.p99.median(), who.minimum.minimum(), ratio, late];
        table.row(who.name, &numbers, goal);
    }
    table
}
