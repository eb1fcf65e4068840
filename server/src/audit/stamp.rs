//! When something happened, by both clocks: people compare the one, and the other never jumps.

use std::process;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

const SECONDS_PER_DAY: i64 = 86_400;

/// Days of 400 years, after which the calendar repeats itself.
const DAYS_PER_ERA: i64 = 146_097;

/// Which server it is: the same from its start to its end, and no other's on this machine. Connections are numbered anew by
/// each.
pub(super) fn instance() -> &'static str {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{:x}", since.as_millis(), process::id())
    })
}

/// A point in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    /// The calendar's.
    pub(super) wall: SystemTime,
    /// `CLOCK_MONOTONIC` (clock_gettime(2)): comparable until the machine is started again, also between processes.
    pub(super) monotonic: Duration,
}

impl Stamp {
    /// Now.
    pub(super) fn now() -> Self {
        let clock = clock_gettime(ClockId::Monotonic);
        let monotonic = Duration::try_from(clock).unwrap_or_default();
        Self { wall: SystemTime::now(), monotonic }
    }

    /// The calendar's time in UTC, to the millisecond (RFC 3339).
    pub(super) fn rfc3339(&self) -> String {
        let (seconds, nanoseconds) = match self.wall.duration_since(UNIX_EPOCH) {
            Ok(since) => (since.as_secs().cast_signed(), since.subsec_nanos()),
            // A clock that was never set may stand before 1970, which is no reason to have no trail.
            Err(_) => (0, 0),
        };
        let (year, month, day) = date(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let millisecond = nanoseconds / 1_000_000;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01.
///
/// Counts from 0000-03-01: with the leap day at the end of the year, months have the same lengths in each.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months have 153 days, wherever they begin.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year_of_era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: u64, milliseconds: u64) -> String {
        let wall = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(milliseconds);
        Stamp { wall, monotonic: Duration::ZERO }.rfc3339()
    }

    #[test]
    fn known_instants() {
        // As `date -u -d @SECONDS` prints them.
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_782_399, 999), "2000-02-28T23:59:59.999Z");
        assert_eq!(text(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(text(951_868_800, 7), "2000-03-01T00:00:00.007Z");
        assert_eq!(text(1_709_164_800, 0), "2024-02-29T00:00:00.000Z");
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
        assert_eq!(text(253_402_300_799, 0), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn every_day_of_eight_hundred_years_follows_the_one_before() {
        let mut before = date(-1);
        assert_eq!(before, (1969, 12, 31));
        for days in 0..2 * DAYS_PER_ERA {
            let (year, month, day) = date(days);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if is_leap { 29 } else { 28 };
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let expected = match before {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if (y, m) == (year, month) => (y, m, d + 1),
                (y, m, _) => (y, m + 1, 1),
            };
            assert_eq!((year, month, day), expected);
            assert!(day <= lengths[month as usize - 1], "{year}-{month}-{day}");
            before = (year, month, day);
        }
    }

    #[test]
    fn the_monotonic_clock_runs() {
        let first = Stamp::now();
        assert!(!first.monotonic.is_zero());
        assert!(Stamp::now().monotonic >= first.monotonic);
    }
}
