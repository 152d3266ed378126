//! Dates, times and intervals as PostgreSQL prints them.

use std::fmt::{self, Write};

use arrow_array::types::IntervalMonthDayNano;
use bytes::BytesMut;
use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

const MICROS_PER_DAY: i64 = 86_400_000_000;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// A day of the proleptic Gregorian calendar.
pub(super) struct CivilDay {
    year: i64,
    month: u8,
    day: u8,
}

impl CivilDay {
    /// The day that is this many days after 1970-01-01 (the algorithm `civil_from_days`
    /// of Howard Hinnant's paper "chrono-Compatible Low-Level Date Algorithms").
    pub(super) fn from_epoch_days(days: i64) -> Self {
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u8;
        let month = (if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 }) as u8;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day }
    }

    fn put(&self, out: &mut BytesMut) -> fmt::Result {
        let year = if self.year > 0 { self.year } else { 1 - self.year };
        write!(out, "{year:04}-{:02}-{:02}", self.month, self.day)
    }

    fn put_era(&self, out: &mut BytesMut) -> fmt::Result {
        if self.year > 0 { Ok(()) } else { out.write_str(" BC") }
    }
}

/// Appends a date, given as days since 1970-01-01.
pub(in super::super) fn put_date(days: i64, out: &mut BytesMut) -> fmt::Result {
    let day = CivilDay::from_epoch_days(days);
    day.put(out)?;
    day.put_era(out)
}

/// Appends a time of day, given in microseconds.
pub(in super::super) fn put_time(micros: i64, out: &mut BytesMut) -> fmt::Result {
    let seconds = micros / MICROS_PER_SECOND;
    write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)?;
    put_fraction(micros % MICROS_PER_SECOND, out)
}

fn put_fraction(micros: i64, out: &mut BytesMut) -> fmt::Result {
    if micros == 0 {
        return Ok(());
    }
    let digits = format!("{micros:06}");
    write!(out, ".{}", digits.trim_end_matches('0'))
}

/// Appends a timestamp, given in microseconds since 1970-01-01 00:00.
pub(in super::super) fn put_timestamp(micros: i64, out: &mut BytesMut) -> fmt::Result {
    put_with_offset(micros, None, out)
}

/// Appends an instant as the clock in a zone shows it, with the offset.
pub(super) fn put_instant(micros: i64, zone: Tz, out: &mut BytesMut) -> fmt::Result {
    // Beyond the years that the zone data covers it is UTC, and says so.
    let offset = DateTime::from_timestamp_micros(micros)
        .map_or(0, |utc| zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc());
    put_with_offset(micros, Some(offset), out)
}

fn put_with_offset(micros: i64, offset: Option<i32>, out: &mut BytesMut) -> fmt::Result {
    let seconds = i64::from(offset.unwrap_or(0));
    let local = micros.saturating_add(seconds * MICROS_PER_SECOND);
    let day = CivilDay::from_epoch_days(local.div_euclid(MICROS_PER_DAY));
    day.put(out)?;
    out.write_char(' ')?;
    put_time(local.rem_euclid(MICROS_PER_DAY), out)?;
    if let Some(offset) = offset {
        put_offset(offset, out)?;
    }
    day.put_era(out)
}

/// `+02`, `+05:30`, `-00:00:01`: as short as it can be said.
fn put_offset(offset: i32, out: &mut BytesMut) -> fmt::Result {
    let sign = if offset < 0 { '-' } else { '+' };
    let seconds = offset.unsigned_abs();
    write!(out, "{sign}{:02}", seconds / 3_600)?;
    if !seconds.is_multiple_of(3_600) {
        write!(out, ":{:02}", seconds / 60 % 60)?;
    }
    if !seconds.is_multiple_of(60) {
        write!(out, ":{:02}", seconds % 60)?;
    }
    Ok(())
}

/// Appends an interval: `1 year 2 mons -3 days 04:05:06.7`.
pub(super) fn put_interval(value: IntervalMonthDayNano, out: &mut BytesMut) -> fmt::Result {
    let start = out.len();
    let micros = value.nanoseconds / 1_000;
    let parts = [(value.months / 12, "year"), (value.months % 12, "mon"), (value.days, "day")];
    let mut negative_before = false;
    for (amount, unit) in parts.into_iter().filter(|(amount, _)| *amount != 0) {
        let space = if out.len() > start { " " } else { "" };
        let plus = if negative_before && amount > 0 { "+" } else { "" };
        let plural = if amount == 1 { "" } else { "s" };
        write!(out, "{space}{plus}{amount} {unit}{plural}")?;
        negative_before = amount < 0;
    }
    if micros == 0 && out.len() > start {
        return Ok(());
    }
    if out.len() > start {
        out.write_char(' ')?;
    }
    out.write_str(match () {
        () if micros < 0 => "-",
        () if negative_before => "+",
        () => "",
    })?;
    put_time(micros.unsigned_abs() as i64, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut BytesMut) -> fmt::Result) -> String {
        let mut out = BytesMut::new();
        write(&mut out).expect("writes");
        String::from_utf8(out.to_vec()).expect("text")
    }

    /// What PostgreSQL 15 prints for the same values.
    #[test]
    fn dates_and_timestamps() {
        assert_eq!(text(|out| put_date(0, out)), "1970-01-01");
        assert_eq!(text(|out| put_date(11_016, out)), "2000-02-29");
        assert_eq!(text(|out| put_date(-719_528, out)), "0001-01-01 BC");
        assert_eq!(text(|out| put_date(2_932_897, out)), "10000-01-01");
        assert_eq!(text(|out| put_timestamp(1_500_000, out)), "1970-01-01 00:00:01.5");
        assert_eq!(text(|out| put_timestamp(-1, out)), "1969-12-31 23:59:59.999999");
        assert_eq!(text(|out| put_timestamp(i64::MAX, out)), "294247-01-10 04:00:54.775807");
    }

    #[test]
    fn instants_show_the_zones_offset() {
        let summer = 1_720_000_000_000_000;
        assert_eq!(text(|out| put_instant(summer, Tz::UTC, out)), "2024-07-03 09:46:40+00");
        assert_eq!(
            text(|out| put_instant(summer, Tz::Europe__Berlin, out)),
            "2024-07-03 11:46:40+02"
        );
        assert_eq!(
            text(|out| put_instant(summer, Tz::Asia__Kolkata, out)),
            "2024-07-03 15:16:40+05:30"
        );
    }

    #[test]
    fn intervals() {
        let interval = |months, days, nanoseconds| {
            text(|out| put_interval(IntervalMonthDayNano { months, days, nanoseconds }, out))
        };
        assert_eq!(interval(14, 3, 14_706_789_000_000), "1 year 2 mons 3 days 04:05:06.789");
        assert_eq!(interval(0, 0, 0), "00:00:00");
        assert_eq!(interval(0, 1, 0), "1 day");
        assert_eq!(interval(-1, 2, -1_000_000_000), "-1 mons +2 days -00:00:01");
        assert_eq!(interval(0, 0, 360_000_000_000_000), "100:00:00");
    }
}
