//! Points in time as rpk writes them: Unix times, dates, durations before or after another.

use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// A point in time as milliseconds since the Unix epoch: a number of 9 or 10 digits is in
/// seconds, one of 19 in nanoseconds, any other in milliseconds; `2026-01-31`,
/// `2026-01-31T12:00:00Z`; or a duration such as `-1h30m` from `base`. `None` for other text.
pub(crate) fn parse_instant(text: &str, base: i64) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return match text.len() {
            9 | 10 => number.checked_mul(1000),
            19 => Some(number / 1_000_000),
            _ => Some(number),
        };
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f") {
        return Some(time.and_utc().timestamp_millis());
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis());
    }
    base.checked_add(parse_duration(text)?)
}

/// Whether a text is a duration.
pub(super) fn is_duration(text: &str) -> bool {
    parse_duration(text).is_some()
}

/// Milliseconds of `1h30m`, `-5s`, `3ms`.
fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total = 0i64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" | "sec" => 1000,
            "m" | "min" => 60_000,
            "h" | "hr" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    Some(sign * total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let cases = [
            ("1700000000000", Some(1_700_000_000_000)),
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000000000000", Some(1_700_000_000_000)),
            ("1", Some(1)),
            ("2022-02-14", Some(1_644_796_800_000)),
            ("2022-02-14T01:00:00Z", Some(1_644_800_400_000)),
            ("2022-02-14T01:00:00.250", Some(1_644_800_400_250)),
            ("2022-02-14T02:00:00+01:00", Some(1_644_800_400_000)),
            ("-1h", Some(5_000_000 - 3_600_000)),
            ("1m3ms", Some(5_060_003)),
            ("yesterday", None),
            ("", None),
            ("-", None),
            ("5", Some(5)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_instant(text, 5_000_000), expected, "{text}");
        }
    }
}
