//! The session's time zone: between wall-clock time and instants.

use std::fmt;
use std::str::FromStr;

use chrono::{MappedLocalTime, NaiveDateTime, Offset, TimeZone};

/// Version of the tz database that expressions use, such as `2025b`. A job's journal pins
/// it: other data may give other results.
pub const TIME_ZONE_VERSION: &str = chrono_tz::IANA_TZDB_VERSION;

/// A zone in which `TIMESTAMP_LTZ` is shown and read (`table.local-time-zone`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionZone {
    /// UTC plus a fixed offset in seconds.
    Fixed(i32),
    /// A zone of the tz database.
    Named(chrono_tz::Tz),
}

impl Default for SessionZone {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl SessionZone {
    /// Wall-clock milliseconds of an instant.
    pub fn to_local(self, instant: i64) -> i64 {
        instant.saturating_add(self.offset_at(instant))
    }

    /// The instant of wall-clock milliseconds. In an hour that occurs twice the first; in
    /// one that is left out, as if the clock had not been changed yet.
    pub fn to_instant(self, local: i64) -> i64 {
        let zone = match self {
            Self::Fixed(seconds) => return local.saturating_sub(i64::from(seconds) * 1000),
            Self::Named(zone) => zone,
        };
        let Some(wall) = naive(local) else { return local };
        let offset = match zone.offset_from_local_datetime(&wall) {
            MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => offset,
            MappedLocalTime::None => {
                let Some(before) = naive(local.saturating_sub(3 * 3_600_000)) else { return local };
                match zone.offset_from_local_datetime(&before).earliest() {
                    Some(offset) => offset,
                    None => return local,
                }
            }
        };
        local.saturating_sub(i64::from(offset.fix().local_minus_utc()) * 1000)
    }

    fn offset_at(self, instant: i64) -> i64 {
        match self {
            Self::Fixed(seconds) => i64::from(seconds) * 1000,
            Self::Named(zone) => naive(instant).map_or(0, |utc| {
                i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()) * 1000
            }),
        }
    }
}

fn naive(millis: i64) -> Option<NaiveDateTime> {
    chrono::DateTime::from_timestamp_millis(millis).map(|time| time.naive_utc())
}

impl FromStr for SessionZone {
    type Err = String;

    /// `UTC`, `+02:00`, `GMT+2` or a name such as `Europe/Vienna`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a time zone (write UTC, +02:00 or Europe/Vienna)");
        if matches!(text, "UTC" | "Z" | "GMT" | "default") {
            return Ok(Self::Fixed(0));
        }
        let offset = text.strip_prefix("GMT").or_else(|| text.strip_prefix("UTC")).unwrap_or(text);
        if let Some(sign) = offset.chars().next().filter(|sign| matches!(sign, '+' | '-')) {
            let (hours, minutes) = offset[1..].split_once(':').unwrap_or((&offset[1..], "0"));
            let hours: i32 = hours.parse().map_err(|_| wrong())?;
            let minutes: i32 = minutes.parse().map_err(|_| wrong())?;
            if !(0..=18).contains(&hours) || !(0..60).contains(&minutes) {
                return Err(wrong());
            }
            let seconds = hours * 3600 + minutes * 60;
            return Ok(Self::Fixed(if sign == '-' { -seconds } else { seconds }));
        }
        text.parse().map(Self::Named).map_err(|_| wrong())
    }
}

impl fmt::Display for SessionZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(0) => f.write_str("UTC"),
            Self::Fixed(seconds) => {
                let sign = if *seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            Self::Named(zone) => f.write_str(zone.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_and_instants() {
        let vienna: SessionZone = "Europe/Vienna".parse().unwrap();
        // 2024-07-01T00:00:00Z is 02:00 in Vienna.
        assert_eq!(vienna.to_local(1_719_792_000_000), 1_719_799_200_000);
        assert_eq!(vienna.to_instant(1_719_799_200_000), 1_719_792_000_000);
        let fixed: SessionZone = "GMT-05:30".parse().unwrap();
        assert_eq!(fixed.to_string(), "-05:30");
        assert_eq!(fixed.to_instant(fixed.to_local(1234)), 1234);
        assert!("Mars/Base".parse::<SessionZone>().is_err());
        let (year, release) = TIME_ZONE_VERSION.split_at(4);
        assert!(year.parse::<u16>().unwrap() >= 2025 && release.len() == 1, "{TIME_ZONE_VERSION}");
    }
}
