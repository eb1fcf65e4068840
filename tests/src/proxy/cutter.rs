//! When connections are cut by what has passed. A rule: bytes in, endings out.

use std::ops::RangeInclusive;

use super::{Direction, Ending};
use crate::noise::Noise;

/// Cuts connections by the bytes that have passed, exactly behind a byte. Cuts none by default.
#[derive(Debug, Default)]
pub struct Cutter(Rule);

#[derive(Debug, Default)]
enum Rule {
    #[default]
    Never,
    Once {
        direction: Direction,
        left: u64,
        ending: Ending,
    },
    Each {
        direction: Direction,
        bytes: u64,
        ending: Ending,
    },
    Random {
        noise: Noise,
        gaps: RangeInclusive<u64>,
        left: u64,
        times: u64,
    },
}

impl Cutter {
    /// One cut, when so many more bytes have passed in this direction, those of all connections together: of the connection
    /// that has the last of them. With 0, of the one that has the next byte to pass.
    pub fn once(direction: Direction, bytes: u64, ending: Ending) -> Self {
        Self(Rule::Once { direction, left: bytes, ending })
    }

    /// Cuts every connection when so many bytes of it have passed in this direction, counted from its first. One of which more
    /// have passed already, and with 0 any, is cut when it has another byte to pass.
    pub fn each(direction: Direction, bytes: u64, ending: Ending) -> Self {
        Self(Rule::Each { direction, bytes, ending })
    }

    /// So many cuts, some with [`Ending::Fin`] and some with [`Ending::Reset`], each when a random number of bytes out of
    /// `gaps` has passed since the last one, those of all connections and both directions together; then none. The same
    /// `seed` gives the same numbers and endings.
    pub fn random(seed: u64, times: u64, gaps: RangeInclusive<u64>) -> Self {
        let mut noise = Noise::new(seed);
        let left = gap(&mut noise, &gaps);
        Self(Rule::Random { noise, gaps, left, times })
    }

    /// How many bytes may pass at most before the cut; see [`Cutter::count`].
    pub(super) fn most(&self, direction: Direction, passed: u64) -> u64 {
        match &self.0 {
            Rule::Once { direction: counted, left, .. } if *counted == direction => *left,
            Rule::Each { direction: counted, bytes, .. } if *counted == direction => {
                bytes.saturating_sub(passed)
            }
            Rule::Random { left, times: 1.., .. } => *left,
            _ => u64::MAX,
        }
    }

    /// Takes note of `bytes`, no more than [`Cutter::most`], of a connection of which `passed` have then passed in this
    /// direction. Says how it ends, if it is cut there.
    pub(super) fn count(&mut self, direction: Direction, passed: u64, bytes: u64) -> Option<Ending> {
        match &mut self.0 {
            Rule::Once { direction: counted, left, ending } if *counted == direction => {
                *left -= bytes;
                let ending = (*left == 0).then_some(*ending);
                if ending.is_some() {
                    self.0 = Rule::Never;
                }
                ending
            }
            Rule::Each { direction: counted, bytes: end, ending } if *counted == direction => {
                (passed >= *end).then_some(*ending)
            }
            Rule::Random { noise, gaps, left, times: times @ 1.. } => {
                *left -= bytes;
                (*left == 0).then(|| {
                    *times -= 1;
                    *left = gap(noise, gaps);
                    if noise.below(2) == 0 { Ending::Fin } else { Ending::Reset }
                })
            }
            _ => None,
        }
    }
}

fn gap(noise: &mut Noise, gaps: &RangeInclusive<u64>) -> u64 {
    gaps.start() + noise.below((gaps.end() - gaps.start() + 1) as usize) as u64
}

#[cfg(test)]
mod tests {
    use super::Direction::{ToClient, ToServer};
    use super::*;

    #[test]
    fn one_cut_is_behind_the_last_byte_of_all_together() {
        let mut cutter = Cutter::once(ToClient, 10, Ending::Reset);
        assert_eq!(cutter.count(ToClient, 4, 4), None);
        assert_eq!((cutter.most(ToServer, 0), cutter.count(ToServer, 100, 100)), (u64::MAX, None));
        assert_eq!(cutter.most(ToClient, 0), 6);
        assert_eq!(cutter.count(ToClient, 6, 6), Some(Ending::Reset));
        assert_eq!((cutter.most(ToClient, 6), cutter.count(ToClient, 7, 1)), (u64::MAX, None));
    }

    #[test]
    fn each_connection_is_cut_at_the_same_place() {
        let mut cutter = Cutter::each(ToServer, 10, Ending::Fin);
        for _ in 0..2 {
            assert_eq!((cutter.most(ToServer, 4), cutter.count(ToServer, 4, 4)), (6, None));
            assert_eq!(cutter.count(ToServer, 10, 6), Some(Ending::Fin));
        }
        assert_eq!((cutter.most(ToServer, 50), cutter.count(ToServer, 50, 0)), (0, Some(Ending::Fin)));
        assert_eq!(cutter.count(ToClient, 10, 10), None);
    }

    #[test]
    fn a_cut_at_nothing_is_before_the_first_byte() {
        for mut cutter in [Cutter::once(ToClient, 0, Ending::Fin), Cutter::each(ToClient, 0, Ending::Fin)] {
            assert_eq!(cutter.most(ToClient, 0), 0);
            assert_eq!(cutter.count(ToClient, 0, 0), Some(Ending::Fin));
        }
    }

    /// The gaps and endings of a cutter.
    fn cuts(seed: u64) -> Vec<(u64, Ending)> {
        let mut cutter = Cutter::random(seed, 100, 5..=20);
        let mut next = || {
            let gap = cutter.most(ToServer, 0);
            (gap != u64::MAX).then(|| {
                assert_eq!(cutter.count(ToServer, 0, gap - 1), None);
                (gap, cutter.count(ToClient, 0, 1).expect("no cut"))
            })
        };
        std::iter::from_fn(&mut next).take(1000).collect()
    }

    #[test]
    fn random_cuts_are_so_many_and_the_same_for_a_seed() {
        let found = cuts(1);
        assert_eq!(found.len(), 100);
        assert!(found.iter().all(|(gap, _)| (5..=20).contains(gap)), "{found:?}");
        assert!([5, 20].iter().all(|end| found.iter().any(|(gap, _)| gap == end)), "{found:?}");
        let resets = found.iter().filter(|(_, ending)| *ending == Ending::Reset).count();
        assert!((20..80).contains(&resets), "{found:?}");
        assert_eq!(found, cuts(1));
        assert_ne!(found, cuts(2));
    }
}
