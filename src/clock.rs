//! Instants with the local offset that was in force, and the texts that they appear as.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// A piece of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday, numbered as ISO 8601 does.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// What happens once in each is called so.
    #[must_use]
    pub const fn adverb(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }
}

/// When something was done, by the clock of the host, and how long it took by one that does not jump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// When it began, in microseconds since 1970 in UTC.
    pub begin_micros: i64,
    /// When it ended, likewise.
    pub end_micros: i64,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// Measures how long something takes from now on.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    begin_micros: i64,
    started: Instant,
}

impl Stopwatch {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { begin_micros: unix_micros(), started: Instant::now() }
    }

    /// The time from the beginning until now.
    #[must_use]
    pub fn timing(&self) -> Timing {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timing { begin_micros: self.begin_micros, end_micros: unix_micros(), millis }
    }
}

fn unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// An instant in UTC, with the offset of local time at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LocalTime {
    /// Microseconds since 1970 in UTC.
    pub unix_micros: i64,
    /// Seconds that local time is ahead of UTC.
    pub offset_secs: i32,
}

impl LocalTime {
    /// Now, in the time zone of the system.
    #[must_use]
    pub fn now() -> Self {
        let unix_micros = unix_micros();
        let offset = Timestamp::from_microsecond(unix_micros).map(|instant| TimeZone::system().to_offset(instant));
        Self { unix_micros, offset_secs: offset.map_or(0, Offset::seconds) }
    }

    /// The instant of a stamp as [`LocalTime::stamp`] writes it, in the time zone of the system; of two that have it, when
    /// summer time ends, the first. `None` when it is no stamp.
    #[must_use]
    pub fn of_stamp(stamp: &str) -> Option<Self> {
        let digits = |byte: &u8| byte.is_ascii_digit();
        let is_stamp = stamp.len() == 15
            && stamp
                .as_bytes()
                .iter()
                .enumerate()
                .all(|(at, byte)| (at == 8 && *byte == b'_') || (at != 8 && digits(byte)));
        let local = DateTime::strptime("%Y%m%d_%H%M%S", stamp).ok().filter(|_| is_stamp)?;
        let zoned = local.to_zoned(TimeZone::system()).ok()?;
        Some(Self { unix_micros: zoned.timestamp().as_microsecond(), offset_secs: zoned.offset().seconds() })
    }

    /// The instant this many seconds later.
    #[must_use]
    pub const fn plus_secs(self, secs: i64) -> Self {
        Self { unix_micros: self.unix_micros.saturating_add(secs.saturating_mul(1_000_000)), ..self }
    }

    /// `YYYYMMDD_HHMMSS` in local time, as in the names of snapshots.
    #[must_use]
    pub fn stamp(&self) -> String {
        self.format("%Y%m%d_%H%M%S")
    }

    /// `YYYY-MM-DD HH:MM:SS` in local time.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.format("%Y-%m-%d %H:%M:%S")
    }

    /// ISO 8601 in local time without an offset, with microseconds: what the documented metadata has.
    #[must_use]
    pub fn iso_naive(&self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S%.6f")
    }

    /// RFC 3339 with the local offset.
    #[must_use]
    pub fn rfc3339(&self) -> String {
        self.format("%Y-%m-%dT%H:%M:%S%:z")
    }

    /// The period of local time that the instant lies in, as text: the same for all instants of it, and for no others.
    #[must_use]
    pub fn period(&self, period: Period) -> String {
        self.format(match period {
            Period::Hour => "%Y-%m-%d %Hh",
            Period::Day => "%Y-%m-%d",
            Period::Week => "%G-W%V",
            Period::Month => "%Y-%m",
            Period::Year => "%Y",
        })
    }

    fn format(&self, format: &str) -> String {
        let instant = Timestamp::from_microsecond(self.unix_micros).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = Offset::from_seconds(self.offset_secs).unwrap_or(Offset::UTC);
        instant.to_zoned(offset.to_time_zone()).strftime(format).to_string()
    }
}

/// The date so many days later, both as `YYYY-MM-DD`; `None` when it is no such date.
#[must_use]
pub fn shift_date(date: &str, days: i64) -> Option<String> {
    let parsed: Date = date.parse().ok()?;
    let shifted = parsed.checked_add(days.days()).ok()?;
    (parsed.to_string() == date).then(|| shifted.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_local() {
        let time = LocalTime { unix_micros: 1_760_092_200_123_456, offset_secs: 7200 };
        assert_eq!(time.stamp(), "20251010_123000");
        assert_eq!(time.iso_naive(), "2025-10-10T12:30:00.123456");
        assert_eq!(time.rfc3339(), "2025-10-10T12:30:00+02:00");
        assert_eq!(time.plus_secs(2).to_text(), "2025-10-10 12:30:02");
    }
}
