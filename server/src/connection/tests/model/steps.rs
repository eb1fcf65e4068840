//! What can happen in a history, and how often: a list of steps from a seed.

/// What happens, and two numbers that say how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) a: u32,
    pub(super) b: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Client,
    Start,
    Again,
    Hold,
    Write,
    Consume,
    Signal,
    Cancel,
    Detach,
    Leave,
    DropOutput,
    Forget,
    Process,
    Exit,
    Up,
    Down,
    Cut,
    ClientNotices,
    ServerNotices,
    Connect,
    Stale,
    Sign,
    Close,
    Kill,
    Restart,
    KillSupervisor,
    Time,
}

/// Each as often as it stands here.
const KINDS: [(Kind, u32); 27] = [
    (Kind::Client, 2),
    (Kind::Start, 5),
    (Kind::Again, 2),
    (Kind::Hold, 4),
    (Kind::Write, 5),
    (Kind::Consume, 6),
    (Kind::Signal, 5),
    (Kind::Cancel, 1),
    (Kind::Detach, 1),
    (Kind::Leave, 1),
    (Kind::DropOutput, 1),
    (Kind::Forget, 1),
    (Kind::Process, 14),
    (Kind::Exit, 2),
    (Kind::Up, 12),
    (Kind::Down, 12),
    (Kind::Cut, 4),
    (Kind::ClientNotices, 6),
    (Kind::ServerNotices, 3),
    (Kind::Connect, 8),
    (Kind::Stale, 4),
    (Kind::Sign, 2),
    (Kind::Close, 1),
    (Kind::Kill, 1),
    (Kind::Restart, 2),
    (Kind::KillSupervisor, 2),
    (Kind::Time, 3),
];

/// The steps of the history with this seed.
pub(super) fn steps(seed: u64) -> Vec<Step> {
    let mut random = fastrand::Rng::with_seed(seed);
    let count = random.usize(8..=45);
    let first = [Kind::Start, Kind::Up].map(|kind| Step { kind, a: random.u32(..), b: random.u32(..) });
    let drawn = (0..count).map(|_| {
        let mut at = random.u32(..KINDS.iter().map(|(_, weight)| weight).sum::<u32>());
        let of = KINDS.iter().find(|(_, weight)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        Step { kind: of.unwrap().0, a: random.u32(..), b: random.u32(..) }
    });
    first.into_iter().chain(drawn).collect()
}

/// A number of bytes: mostly few, rarely as many as a window.
pub(super) fn amount(number: u32) -> u64 {
    let number = u64::from(number);
    match number % 16 {
        0 => 60_000 + number % 10_000,
        1..=3 => number % 5_000,
        _ => 1 + number % 100,
    }
}
