//! Dates, times and timestamps as text: Flink's SQL and ISO-8601 forms, and Java's.

use arrow_schema::TimeUnit;

use super::Text;

/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;
/// Nanoseconds of a second.
const SECOND_NANOS: i64 = 1_000_000_000;

/// How timestamps are written (`json.timestamp-format.standard`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampStyle {
    /// `2023-11-14 23:59:10.5`, with local time zone `2023-11-14 23:59:10.5Z`.
    #[default]
    Sql,
    /// `2023-11-14T23:59:10.5`, with local time zone `2023-11-14T23:59:10.5Z`.
    Iso8601,
}

impl TimestampStyle {
    /// What stands between date and time.
    fn separator(self) -> u8 {
        match self {
            Self::Sql => b' ',
            Self::Iso8601 => b'T',
        }
    }
}

/// Two digits as a number; 100 or more where they are none.
fn pair(tens: u8, ones: u8) -> u32 {
    let (tens, ones) = (u32::from(tens ^ b'0'), u32::from(ones ^ b'0'));
    if tens > 9 || ones > 9 { 100 } else { tens * 10 + ones }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
pub(crate) fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    // Counted in eras of 400 years that start in March, so that the leap day is last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of `yyyy-MM-dd`.
pub fn parse_date(text: &[u8]) -> Option<i32> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let (century, year) = (pair(y1, y2), pair(y3, y4));
    let (month, day) = (pair(m1, m2), pair(d1, d2));
    if century > 99 || year > 99 {
        return None;
    }
    let year = century * 100 + year;
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(i64::from(year), month, day) as i32)
}

/// Nanoseconds of `HH:mm:ss`, which up to nine digits behind a point may follow.
pub fn parse_time(text: &[u8]) -> Option<i64> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2, ref fraction @ ..] = text else { return None };
    let (hour, minute, second) = (pair(h1, h2), pair(m1, m2), pair(s1, s2));
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some(seconds * SECOND_NANOS + parse_fraction(fraction)?)
}

fn parse_fraction(text: &[u8]) -> Option<i64> {
    match *text {
        [] => Some(0),
        // The usual case: milliseconds.
        [b'.', tenths, hundredths, ones] => {
            let (high, low) = (pair(tenths, hundredths), pair(b'0', ones));
            (high < 100 && low < 100).then(|| i64::from(high * 10 + low) * 1_000_000)
        }
        [b'.', ref digits @ ..] if digits.len() <= 9 => {
            let mut nanos = 0;
            for &digit in digits {
                if !digit.is_ascii_digit() {
                    return None;
                }
                nanos = nanos * 10 + i64::from(digit - b'0');
            }
            Some(nanos * 10_i64.pow(9 - digits.len() as u32))
        }
        _ => None,
    }
}

/// A point on the time line or the calendar: days since 1970-01-01 and nanoseconds of the day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DayTime {
    /// Days since 1970-01-01.
    pub days: i32,
    /// Nanoseconds of the day.
    pub nanos: i64,
}

impl DayTime {
    /// The number of `unit`s since 1970-01-01 00:00:00, cut off (not rounded); `None` where
    /// it does not fit.
    pub fn in_unit(self, unit: TimeUnit) -> Option<i64> {
        let (per_day, nanos_each) = match unit {
            TimeUnit::Second => (DAY_SECONDS, SECOND_NANOS),
            TimeUnit::Millisecond => (DAY_SECONDS * 1000, 1_000_000),
            TimeUnit::Microsecond => (DAY_SECONDS * 1_000_000, 1000),
            TimeUnit::Nanosecond => (DAY_SECONDS * SECOND_NANOS, 1),
        };
        i64::from(self.days).checked_mul(per_day)?.checked_add(self.nanos / nanos_each)
    }

    /// The inverse of [`DayTime::in_unit`].
    pub fn of_unit(value: i64, unit: TimeUnit) -> Self {
        let (per_day, nanos_each) = match unit {
            TimeUnit::Second => (DAY_SECONDS, SECOND_NANOS),
            TimeUnit::Millisecond => (DAY_SECONDS * 1000, 1_000_000),
            TimeUnit::Microsecond => (DAY_SECONDS * 1_000_000, 1000),
            TimeUnit::Nanosecond => (DAY_SECONDS * SECOND_NANOS, 1),
        };
        // Years beyond those of an i32 of days only come out of damaged values.
        let days = value.div_euclid(per_day).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        Self { days: days as i32, nanos: value.rem_euclid(per_day) * nanos_each }
    }

    fn shifted_by_seconds(self, seconds: i64) -> Option<Self> {
        let nanos = self.nanos + seconds * SECOND_NANOS;
        let day_nanos = DAY_SECONDS * SECOND_NANOS;
        let days = i64::from(self.days) + nanos.div_euclid(day_nanos);
        Some(Self { days: i32::try_from(days).ok()?, nanos: nanos.rem_euclid(day_nanos) })
    }
}

/// Reads timestamps and remembers the last date, which rarely changes from row to row.
#[derive(Clone, Debug)]
pub struct TimestampParser {
    style: TimestampStyle,
    zoned: bool,
    last_date: [u8; 10],
    last_days: i32,
}

impl TimestampParser {
    /// A parser of one form. `zoned`: `TIMESTAMP_LTZ`, whose text ends in `Z` (or, in the
    /// ISO form, in an offset as well).
    pub fn new(style: TimestampStyle, zoned: bool) -> Self {
        Self { style, zoned, last_date: *b"1970-01-01", last_days: 0 }
    }

    /// The timestamp that `text` says; zoned ones in UTC.
    pub fn parse(&mut self, text: &[u8]) -> Option<DayTime> {
        let (date, rest) = text.split_first_chunk::<10>()?;
        let (&separator, mut time) = rest.split_first()?;
        if separator != self.style.separator() {
            return None;
        }
        if *date != self.last_date {
            self.last_days = parse_date(date)?;
            self.last_date = *date;
        }
        let mut offset_seconds = 0;
        if self.zoned {
            (time, offset_seconds) = self.split_zone(time)?;
        }
        let nanos = match (self.style, time) {
            // ISO_LOCAL_TIME lets seconds out.
            (TimestampStyle::Iso8601, &[h1, h2, b':', m1, m2]) => {
                parse_time(&[h1, h2, b':', m1, m2, b':', b'0', b'0'])?
            }
            _ => parse_time(time)?,
        };
        let local = DayTime { days: self.last_days, nanos };
        if offset_seconds == 0 { Some(local) } else { local.shifted_by_seconds(-offset_seconds) }
    }

    fn split_zone<'a>(&self, time: &'a [u8]) -> Option<(&'a [u8], i64)> {
        if let Some(time) = time.strip_suffix(b"Z") {
            return Some((time, 0));
        }
        if self.style == TimestampStyle::Sql {
            return None;
        }
        let (time, zone) = time.split_last_chunk::<6>()?;
        let &[sign, h1, h2, b':', m1, m2] = zone else { return None };
        let (hours, minutes) = (pair(h1, h2), pair(m1, m2));
        if hours > 18 || minutes > 59 {
            return None;
        }
        let seconds = i64::from(hours * 3600 + minutes * 60);
        match sign {
            b'+' => Some((time, seconds)),
            b'-' => Some((time, -seconds)),
            _ => None,
        }
    }

    /// What a text should look like, for messages.
    pub fn expected(&self) -> &'static str {
        match (self.style, self.zoned) {
            (TimestampStyle::Sql, false) => "yyyy-MM-dd HH:mm:ss.SSS",
            (TimestampStyle::Sql, true) => "yyyy-MM-dd HH:mm:ss.SSSZ",
            (TimestampStyle::Iso8601, false) => "yyyy-MM-ddTHH:mm:ss.SSS",
            (TimestampStyle::Iso8601, true) => "yyyy-MM-ddTHH:mm:ss.SSSZ",
        }
    }
}

fn push_padded(out: &mut Text, value: u32, width: usize) {
    let mut digits = [b'0'; 10];
    let mut rest = value;
    for place in digits[..width].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[..width]);
}

/// Writes `yyyy-MM-dd`; years outside 0..=9999 as Java does, with a sign.
pub fn push_date(out: &mut Text, days: i32) {
    let (year, month, day) = civil_from_days(i64::from(days));
    match year {
        0..=9999 => push_padded(out, year as u32, 4),
        year => {
            out.push(if year < 0 { b'-' } else { b'+' });
            let digits = year.unsigned_abs() as u32;
            push_padded(
                out,
                digits,
                if digits > 9_999_999 {
                    8
                } else if digits > 9999 {
                    7
                } else {
                    4
                },
            );
        }
    }
    out.push(b'-');
    push_padded(out, month, 2);
    out.push(b'-');
    push_padded(out, day, 2);
}

/// Which digits of a second to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fraction {
    /// As many as are not zero at the end, none for whole seconds (Flink's formats).
    Shortest,
    /// None, or in groups of three (Java's `toString`).
    Thousands,
}

/// Writes `HH:mm:ss` and the fraction.
pub fn push_time(out: &mut Text, nanos: i64, fraction: Fraction) {
    let seconds = (nanos / SECOND_NANOS) as u32;
    push_padded(out, seconds / 3600, 2);
    out.push(b':');
    push_padded(out, seconds / 60 % 60, 2);
    out.push(b':');
    push_padded(out, seconds % 60, 2);
    let mut rest = (nanos % SECOND_NANOS) as u32;
    if rest == 0 {
        return;
    }
    let (step, by) = match fraction {
        Fraction::Shortest => (1, 10),
        Fraction::Thousands => (3, 1000),
    };
    let mut width = 9;
    while rest.is_multiple_of(by) {
        rest /= by;
        width -= step;
    }
    out.push(b'.');
    push_padded(out, rest, width);
}

/// Writes a time as Java's `LocalTime.toString`: seconds only where there are any.
pub fn push_java_time(out: &mut Text, nanos: i64) {
    if nanos % (60 * SECOND_NANOS) == 0 {
        let minutes = (nanos / SECOND_NANOS / 60) as u32;
        push_padded(out, minutes / 60, 2);
        out.push(b':');
        push_padded(out, minutes % 60, 2);
    } else {
        push_time(out, nanos, Fraction::Thousands);
    }
}

/// Writes a timestamp in a format's style.
pub fn push_timestamp(out: &mut Text, value: DayTime, style: TimestampStyle, zoned: bool) {
    push_date(out, value.days);
    out.push(style.separator());
    push_time(out, value.nanos, Fraction::Shortest);
    if zoned {
        out.push(b'Z');
    }
}

/// Writes a timestamp as Java's `LocalDateTime.toString`, zoned ones as `Instant.toString`.
pub fn push_java_timestamp(out: &mut Text, value: DayTime, zoned: bool) {
    push_date(out, value.days);
    out.push(b'T');
    if zoned {
        push_time(out, value.nanos, Fraction::Thousands);
        out.push(b'Z');
    } else {
        push_java_time(out, value.nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Text)) -> String {
        let mut out = Text::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_go_there_and_back() {
        for days in (-800_000..3_000_000).step_by(317) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(parse_date(b"1970-01-01"), Some(0));
        assert_eq!(parse_date(b"2023-11-14"), Some(19_675));
        assert_eq!(parse_date(b"2024-02-29"), Some(19_782));
        assert_eq!(text(|out| push_date(out, 19_782)), "2024-02-29");
        for bad in ["2023-02-29", "2023-13-01", "2023-00-01", "2023-1-01", "20230101", "a023-01-01"]
        {
            assert_eq!(parse_date(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn timestamps_of_every_form() {
        let mut sql = TimestampParser::new(TimestampStyle::Sql, false);
        let at = DayTime { days: 19_675, nanos: 86_350 * SECOND_NANOS + 120_000_000 };
        assert_eq!(sql.parse(b"2023-11-14 23:59:10.12"), Some(at));
        assert_eq!(sql.parse(b"2023-11-14 23:59:10.120"), Some(at));
        assert_eq!(sql.parse(b"2023-11-14 23:59:10.120000000"), Some(at));
        assert_eq!(sql.parse(b"2023-11-14T23:59:10.120"), None);
        assert_eq!(sql.parse(b"2023-11-14 23:59:10.1200000000"), None);
        assert_eq!(sql.parse(b"2023-11-14 23:59"), None);
        assert_eq!(sql.parse(b"2023-11-14 24:00:00"), None);
        assert_eq!(sql.parse(b"2023-11-14 23:59:10Z"), None);
        let mut zoned = TimestampParser::new(TimestampStyle::Iso8601, true);
        assert_eq!(zoned.parse(b"2023-11-14T23:59:10.12Z"), Some(at));
        assert_eq!(zoned.parse(b"2023-11-15T01:59:10.12+02:00"), Some(at));
        assert_eq!(zoned.parse(b"2023-11-14T22:29:10.12-01:30"), Some(at));
        assert_eq!(zoned.parse(b"2023-11-14T23:59:10.12"), None);
        let mut iso = TimestampParser::new(TimestampStyle::Iso8601, false);
        assert_eq!(
            iso.parse(b"1970-01-01T00:01"),
            Some(DayTime { days: 0, nanos: 60 * SECOND_NANOS })
        );
    }

    #[test]
    fn units_cut_off_towards_the_past() {
        let at = DayTime { days: -1, nanos: 86_399 * SECOND_NANOS + 999_999_999 };
        assert_eq!(at.in_unit(TimeUnit::Millisecond), Some(-1));
        assert_eq!(at.in_unit(TimeUnit::Second), Some(-1));
        assert_eq!(DayTime::of_unit(-1, TimeUnit::Second).nanos, 86_399 * SECOND_NANOS);
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond] {
            assert_eq!(DayTime::of_unit(-12_345_678, unit).in_unit(unit), Some(-12_345_678));
        }
        assert_eq!(DayTime { days: i32::MAX, nanos: 0 }.in_unit(TimeUnit::Nanosecond), None);
    }

    /// Expected values are those of java.time's toString.
    #[test]
    fn java_text() {
        let print = |ms, zoned| {
            text(|out| push_java_timestamp(out, DayTime::of_unit(ms, TimeUnit::Millisecond), zoned))
        };
        assert_eq!(print(1_700_006_350_000, false), "2023-11-14T23:59:10");
        assert_eq!(print(1_700_006_350_120, false), "2023-11-14T23:59:10.120");
        assert_eq!(print(1_700_006_340_000, false), "2023-11-14T23:59");
        assert_eq!(print(1_700_006_340_000, true), "2023-11-14T23:59:00Z");
        assert_eq!(print(0, false), "1970-01-01T00:00");
        assert_eq!(text(|out| push_java_time(out, 1_000)), "00:00:00.000001");
        let sql = |nanos| {
            let at = DayTime { days: 0, nanos };
            text(|out| push_timestamp(out, at, TimestampStyle::Sql, false))
        };
        assert_eq!(sql(0), "1970-01-01 00:00:00");
        assert_eq!(sql(120_000_000), "1970-01-01 00:00:00.12");
    }
}
