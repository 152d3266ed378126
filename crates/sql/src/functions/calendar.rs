//! The proleptic Gregorian calendar on plain numbers: days and milliseconds since the
//! Unix epoch.

use std::fmt::Write;

pub(crate) const MILLIS_PER_SECOND: i64 = 1000;
pub(crate) const MILLIS_PER_MINUTE: i64 = 60_000;
pub(crate) const MILLIS_PER_HOUR: i64 = 3_600_000;
pub(crate) const MILLIS_PER_DAY: i64 = 86_400_000;

/// A day of the calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Date {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: u32,
    /// From 1.
    pub(crate) day: u32,
}

/// Day and month arithmetic in eras of 400 years, after H. Hinnant's description of
/// `civil_from_days`.
impl Date {
    pub(crate) fn from_days(days: i64) -> Self {
        let shifted = days.wrapping_add(719_468);
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day }
    }

    pub(crate) fn to_days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let shifted_month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era.wrapping_mul(146_097).wrapping_add(day_of_era - 719_468)
    }

    /// Milliseconds from the epoch to the start of the day.
    pub(crate) fn to_millis(self) -> i64 {
        self.to_days().wrapping_mul(MILLIS_PER_DAY)
    }

    /// The date, if there is such a day.
    pub(crate) fn checked(year: i64, month: u32, day: u32) -> Option<Self> {
        let fits = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
        (fits && (-9999..=9999).contains(&year)).then_some(Self { year, month, day })
    }

    pub(crate) fn day_of_year(self) -> i64 {
        self.to_days() - Self { year: self.year, month: 1, day: 1 }.to_days() + 1
    }

    /// As `yyyy-MM-dd`.
    pub(crate) fn write(self, out: &mut String) {
        push_padded(out, self.year, 4);
        out.push('-');
        push_padded(out, i64::from(self.month), 2);
        out.push('-');
        push_padded(out, i64::from(self.day), 2);
    }

    /// So many months later; the day is cut to the month's length. Far beyond the years
    /// that have four digits it wraps, as numbers do.
    pub(crate) fn plus_months(self, months: i64) -> Self {
        let total = (self.year * 12 + i64::from(self.month) - 1).wrapping_add(months);
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
        Self { year, month, day: self.day.min(days_in_month(year, month)) }
    }
}

pub(crate) fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday is 1, Sunday is 7.
pub(crate) fn iso_weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// Week and year of ISO 8601.
pub(crate) fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - iso_weekday(days) + 4;
    let year = Date::from_days(thursday).year;
    let first = Date { year, month: 1, day: 1 }.to_days();
    (year, (thursday - first) / 7 + 1)
}

/// Days and milliseconds of the day.
pub(crate) fn split_millis(millis: i64) -> (i64, i64) {
    (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY))
}

/// A number with leading zeros.
pub(crate) fn push_padded(out: &mut String, number: i64, width: usize) {
    if number < 0 {
        out.push('-');
    }
    let mut digits = [b'0'; 20];
    let mut rest = number.unsigned_abs();
    let mut at = digits.len();
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let digits = std::str::from_utf8(&digits[at..]).unwrap_or_default();
    out.extend(std::iter::repeat_n('0', width.saturating_sub(digits.len())));
    out.push_str(digits);
}

/// `HH:mm:ss` and `precision` digits of the second's fraction, given in nanoseconds.
pub(crate) fn write_time(out: &mut String, seconds_of_day: i64, nanos: i64, precision: u8) {
    push_padded(out, seconds_of_day / 3600, 2);
    out.push(':');
    push_padded(out, seconds_of_day / 60 % 60, 2);
    out.push(':');
    push_padded(out, seconds_of_day % 60, 2);
    if precision > 0 {
        let digits = usize::from(precision.min(9));
        let _ = write!(out, ".{:0digits$}", nanos / 10_i64.pow(9 - digits as u32));
    }
}

/// A point in time as it is written: days, and nanoseconds of the day.
pub(crate) type Moment = (i64, i64);

/// Reads `yyyy-M-d`, then, if there, `T` or a space and a time of day.
pub(crate) fn parse_timestamp(text: &str) -> Option<Moment> {
    let (date, time) = split_date(text);
    let days = parse_date_only(date)?;
    let nanos = match time {
        Some(time) => parse_time(time)?,
        None => 0,
    };
    Some((days, nanos))
}

/// As [`parse_timestamp`]; `Z` or an offset such as `+02:00` may follow the time of day.
/// With it, in seconds, if it is there.
pub(crate) fn parse_instant(text: &str) -> Option<(Moment, Option<i64>)> {
    let (date, time) = split_date(text);
    let days = parse_date_only(date)?;
    let Some(time) = time else { return Some(((days, 0), None)) };
    let (time, offset) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => (time[..at].trim_end(), Some(parse_offset(&time[at..])?)),
        None => (time, None),
    };
    Some(((days, parse_time(time)?), offset))
}

/// The day, and the time of day behind it.
fn split_date(text: &str) -> (&str, Option<&str>) {
    let text = text.trim();
    match text.find([' ', 'T']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim())),
        None => (text, None),
    }
}

/// `Z`, `+02`, `+0200` or `+02:00` in seconds; at most 18 hours, as in Java.
fn parse_offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None => digits.split_at_checked(2)?,
    };
    let hours = parse_digits(hours, 2)?;
    let minutes = if minutes.is_empty() { 0 } else { parse_digits(minutes, 2)? };
    let seconds = hours * 3600 + minutes * 60;
    (minutes < 60 && seconds <= 18 * 3600).then_some(sign * seconds)
}

/// Reads a date, also from the text of a timestamp.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    parse_timestamp(text).map(|(days, _)| days)
}

fn parse_date_only(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut parts = digits.split('-');
    let year = parse_digits(parts.next()?, 4)? * sign;
    let month = parts.next().map_or(Some(1), |part| parse_digits(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| parse_digits(part, 2))?;
    if parts.next().is_some() {
        return None;
    }
    Date::checked(year, month as u32, day as u32).map(Date::to_days)
}

/// Reads `H:m[:s[.fraction]]` as nanoseconds of the day.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').map_or((text, ""), |(c, f)| (c, f));
    let mut parts = clock.split(':');
    let hours = parse_digits(parts.next()?, 2)?;
    let minutes = parts.next().map_or(Some(0), |part| parse_digits(part, 2))?;
    let seconds = parts.next().map_or(Some(0), |part| parse_digits(part, 2))?;
    if parts.next().is_some() || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let mut nanos = 0;
    if !fraction.is_empty() {
        parse_digits(fraction, usize::MAX)?;
        // All of them are digits, so that this is no place inside a character.
        let kept = &fraction[..fraction.len().min(9)];
        nanos = parse_digits(kept, 9)? * 10_i64.pow(9 - kept.len() as u32);
    }
    Some((hours * 3600 + minutes * 60 + seconds) * 1_000_000_000 + nanos)
}

fn parse_digits(text: &str, most: usize) -> Option<i64> {
    let fits = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    if !fits {
        return None;
    }
    // A fraction may have any number of digits; only the first ones count.
    text[..text.len().min(18)].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree_over_all_years() {
        for days in (-1_000_000..1_000_000).step_by(37) {
            assert_eq!(Date::from_days(days).to_days(), days);
        }
        assert_eq!(Date::from_days(0), Date { year: 1970, month: 1, day: 1 });
        assert_eq!(Date::checked(2023, 2, 29), None);
    }

    #[test]
    fn iso_weeks_at_the_turn_of_the_year() {
        let days = |year, month, day| Date { year, month, day }.to_days();
        assert_eq!(iso_week(days(2021, 1, 3)), (2020, 53));
        assert_eq!(iso_week(days(2021, 1, 4)), (2021, 1));
        assert_eq!(iso_weekday(days(2026, 11, 20)), 5);
    }

    #[test]
    fn reads_timestamps_as_written() {
        assert_eq!(parse_timestamp("1970-01-02 00:00:01.5"), Some((1, 1_500_000_000)));
        assert_eq!(parse_timestamp("1970-1-2T3:4"), Some((1, 11_040_000_000_000)));
        assert_eq!(parse_timestamp("1970-13-01"), None);
        assert_eq!(parse_timestamp("today"), None);
        assert_eq!(parse_timestamp("1970-01-02 00:00:00.12345678é"), None);
        assert_eq!(parse_timestamp("1970-01-02 00:00:00Z"), None, "that is an instant");
    }

    #[test]
    fn reads_instants_with_their_offset() {
        let at = (1, 3_600_000_000_000);
        for (text, offset) in [
            ("1970-01-02 01:00:00", None),
            ("1970-01-02 01:00:00Z", Some(0)),
            ("1970-01-02T01:00:00.000 z", Some(0)),
            ("1970-01-02 01:00:00+02", Some(7200)),
            ("1970-01-02 01:00:00 -0530", Some(-19_800)),
            ("1970-01-02 01:00+18:00", Some(64_800)),
        ] {
            assert_eq!(parse_instant(text), Some((at, offset)), "{text}");
        }
        assert_eq!(parse_instant("1970-01-02"), Some(((1, 0), None)));
        for text in ["1970-01-02 01:00+19", "1970-01-02 01:00+2:0:0", "1970-01-02 01:00+", "x Z"] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }

    #[test]
    fn pads_to_any_width() {
        let mut out = String::new();
        push_padded(&mut out, -7, 25);
        assert_eq!(out, format!("-{:025}", 7));
    }
}
