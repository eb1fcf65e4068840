//! The time in `expiry-time="…"`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// A second of a day between 1970 and 9999 in UTC, up to which a key is good.
///
/// Written `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with or without a `Z`. Without one, too, it is UTC here,
/// where sshd takes its own time zone: a line means the same on every server, and no database of time zones has a say
/// in who may connect. East of Greenwich that is later than sshd's reading by as much as the clocks there are ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiry {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Expiry {
    /// The time on the system's clock; `None` if that does not go so far.
    pub(super) fn time(self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(self.since_epoch())
    }

    /// Whether it is past. A clock that stands before 1970 is wrong, and then nothing is known: past.
    pub(super) fn is_over(self, now: SystemTime) -> bool {
        now.duration_since(SystemTime::UNIX_EPOCH).map_or(true, |now| now > self.since_epoch())
    }

    fn since_epoch(self) -> Duration {
        let days_of_years =
            365 * (u64::from(self.year) - 1970) + leap_days_until(self.year) - leap_days_until(1970);
        let days_of_months: u64 = (1..self.month).map(|month| u64::from(days_in(month, self.year))).sum();
        let days = days_of_years + days_of_months + u64::from(self.day) - 1;
        let hours = days * 24 + u64::from(self.hour);
        Duration::from_secs((hours * 60 + u64::from(self.minute)) * 60 + u64::from(self.second))
    }
}

/// Leap days since the year 1 and before `year` in the calendar of today.
fn leap_days_until(year: u16) -> u64 {
    let years = u64::from(year) - 1;
    years / 4 - years / 100 + years / 400
}

fn days_in(month: u8, year: u16) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Expiry {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
        if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(());
        }
        // A part that is left out is 0, as after midnight.
        let part = |at: usize| digits.get(at..at + 2).map_or(Ok(0), |digits| digits.parse().map_err(|_| ()));
        let expiry = Self {
            year: digits.get(..4).ok_or(())?.parse().map_err(|_| ())?,
            month: part(4)?,
            day: part(6)?,
            hour: part(8)?,
            minute: part(10)?,
            second: part(12)?,
        };
        let is_a_day = expiry.year >= 1970
            && (1..=12).contains(&expiry.month)
            && (1..=days_in(expiry.month, expiry.year)).contains(&expiry.day);
        let is_a_time = expiry.hour < 24 && expiry.minute < 60 && expiry.second < 60;
        if is_a_day && is_a_time { Ok(expiry) } else { Err(()) }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_seconds_that_date_prints() {
        // Each by `date -u -d … +%s`.
        let table = [
            ("19700101", 0),
            ("19700101000001Z", 1),
            ("19720229Z", 68_169_600),
            ("200002291234Z", 951_827_640),
            ("20260101", 1_767_225_600),
            ("203801190314", 2_147_483_640),
            ("20380119031408z", 2_147_483_648),
            ("21000301Z", 4_107_542_400),
            ("99991231235959Z", 253_402_300_799),
        ];
        for (text, seconds) in table {
            let expiry: Expiry = text.parse().unwrap();
            assert_eq!(expiry.since_epoch().as_secs(), seconds, "{text}");
            assert_eq!(expiry.to_string().parse(), Ok(expiry), "{text}");
        }
    }

    #[test]
    fn what_is_no_day_or_no_time_is_refused() {
        for text in [
            "",
            "Z",
            "2026",
            "2026010",
            "2026010112",
            "202601011",
            "2026010112345",
            "202601011234567",
            "20260101ZZ",
            "20260101 ",
            " 20260101",
            "+2026010",
            "2026-1-1",
            "２０２６",
            "19691231",
            "00000101",
            "20261301",
            "20260001",
            "20260100",
            "20260132",
            "20260230",
            "21000229",
            "20230229",
            "202601012400",
            "202601011260",
            "20260101123460",
            "20260101UTC",
        ] {
            assert_eq!(text.parse::<Expiry>(), Err(()), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_good_up_to_the_second_and_at_no_impossible_time() {
        let expiry: Expiry = "20260101".parse().unwrap();
        let time = expiry.time().unwrap();
        assert!(!expiry.is_over(time));
        assert!(expiry.is_over(time + Duration::from_millis(1)));
        assert!(expiry.is_over(SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    }
}
