//! Parameters as text, as PostgreSQL's input functions read them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::error::{PgError, Result, sqlstate};
use super::params::{ParamType, ParamValue};
use super::params_binary::utf8;

/// Reads a value.
pub(super) fn decode(bytes: &[u8], param_type: Option<ParamType>) -> Result<ParamValue> {
    let text = utf8(bytes)?;
    let Some(param_type) = param_type else {
        return Ok(ParamValue::Unknown(text));
    };
    let trimmed = text.trim();
    let value = match param_type {
        ParamType::Text => return Ok(ParamValue::Text(text)),
        ParamType::Bool => boolean(trimmed).map(ParamValue::Bool),
        ParamType::Int2 => {
            trimmed.parse::<i16>().ok().map(|n| ParamValue::Int(n.into(), param_type))
        }
        ParamType::Int4 => {
            trimmed.parse::<i32>().ok().map(|n| ParamValue::Int(n.into(), param_type))
        }
        ParamType::Int8 => trimmed.parse::<i64>().ok().map(|n| ParamValue::Int(n, param_type)),
        ParamType::Float4 | ParamType::Float8 => {
            trimmed.parse::<f64>().ok().map(|value| ParamValue::Float(value, param_type))
        }
        ParamType::Numeric => numeric(trimmed).map(ParamValue::Numeric),
        ParamType::Bytea => bytea(trimmed).map(ParamValue::Bytes),
        ParamType::Date => date(trimmed).map(ParamValue::Date),
        ParamType::Time => time(trimmed).map(ParamValue::Time),
        ParamType::Timestamp => timestamp(trimmed).map(ParamValue::Timestamp),
        ParamType::TimestampTz => instant(trimmed).map(ParamValue::Instant),
    };
    value.ok_or_else(|| {
        let shown: String = text.chars().take(100).collect();
        PgError::new(
            sqlstate::INVALID_TEXT,
            format!("invalid input syntax for type {}: \"{shown}\"", param_type.pg_type().name()),
        )
    })
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "on" | "yes" | "y" | "1" => Some(true),
        "f" | "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// Plain digits; an exponent is written out.
fn numeric(text: &str) -> Option<String> {
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) || exponent.abs() > 1_000 {
        return None;
    }
    // Where the point goes, counted from the left of all digits.
    let point = whole.len() as i32 + exponent;
    let before = usize::try_from(-point).unwrap_or(0);
    let after = usize::try_from(point - digits.len() as i32).unwrap_or(0);
    let digits = format!("{}{digits}{}", "0".repeat(before), "0".repeat(after));
    let (whole, fraction) = digits.split_at(point.max(0) as usize);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let minus = if negative { "-" } else { "" };
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{minus}{whole}{dot}{fraction}"))
}

/// The hex form, `\x00ff`, or the escape form.
fn bytea(text: &str) -> Option<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        let hex = hex.as_bytes();
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        if hex.len() % 2 != 0 {
            return None;
        }
        return hex.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                rest = tail;
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            (b'\\', _) => return None,
            (byte, tail) => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    Some(out)
}

fn date(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from((date - NaiveDate::default()).num_days()).ok()
}

fn time(text: &str) -> Option<i64> {
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f")
        .or_else(|_| NaiveTime::parse_from_str(text, "%H:%M"))
        .ok()?;
    let seconds = i64::from(time.num_seconds_from_midnight());
    Some(seconds * 1_000_000 + i64::from(time.nanosecond() / 1_000))
}

fn local(text: &str) -> Option<NaiveDateTime> {
    let text = text.replacen('T', " ", 1);
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M"))
        .ok()
        .or_else(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().map(|date| date.into()))
}

/// A timestamp; an offset is ignored, as PostgreSQL does for this type.
fn timestamp(text: &str) -> Option<i64> {
    let plain = split_offset(text).map_or(text, |(plain, _)| plain);
    Some(local(plain)?.and_utc().timestamp_micros())
}

/// An instant; without an offset it is in UTC.
fn instant(text: &str) -> Option<i64> {
    let (plain, offset) = split_offset(text).unwrap_or((text, 0));
    let utc: DateTime<_> = local(plain)?.and_utc();
    utc.timestamp_micros().checked_sub(offset * 1_000_000)
}

/// Cuts the offset off, in seconds: `Z`, `+02`, `-05:30`, `+0530`, `+00:00:01`.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(plain) = text.strip_suffix(['Z', 'z']) {
        return Some((plain.trim_end(), 0));
    }
    if let Some(plain) = text.strip_suffix(" UTC") {
        return Some((plain.trim_end(), 0));
    }
    // A sign before the time of day belongs to the date.
    let from = text.find(':')?;
    let at = from + text[from..].find(['+', '-'])?;
    let sign = if text.as_bytes()[at] == b'-' { -1 } else { 1 };
    let digits: String = text[at + 1..].chars().filter(|c| *c != ':').collect();
    let part = |range: std::ops::Range<usize>| digits.get(range).map_or(Ok(0), str::parse::<i64>);
    if !matches!(digits.len(), 2 | 4 | 6) {
        return None;
    }
    let seconds = part(0..2).ok()? * 3_600 + part(2..4).ok()? * 60 + part(4..6).ok()?;
    Some((text[..at].trim_end(), sign * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, param_type: ParamType) -> Option<ParamValue> {
        decode(text.as_bytes(), Some(param_type)).ok()
    }

    #[test]
    fn numerics() {
        let cases = [
            ("1", "1"),
            ("-1.50", "-1.50"),
            ("+.5", "0.5"),
            ("1.25e3", "1250"),
            ("12E-4", "0.0012"),
            ("007", "7"),
        ];
        for (text, digits) in cases {
            assert_eq!(numeric(text).as_deref(), Some(digits));
        }
        for text in ["", "-", ".", "1.2.3", "1e", "abc", "1;DROP", "1e9999", "0x1"] {
            assert_eq!(numeric(text), None, "{text}");
        }
    }

    #[test]
    fn instants() {
        let noon = 1_720_008_000_000_000;
        let texts = [
            "2024-07-03 12:00:00+00",
            "2024-07-03T12:00:00Z",
            "2024-07-03 14:00:00+02:00",
            "2024-07-03 06:30:00.000-0530",
            "2024-07-03 12:00",
            "2024-07-03 12:00:00 UTC",
        ];
        for text in texts {
            assert_eq!(
                value(text, ParamType::TimestampTz),
                Some(ParamValue::Instant(noon)),
                "{text}"
            );
        }
        assert_eq!(
            value("2024-07-03 12:00:00+02", ParamType::Timestamp),
            Some(ParamValue::Timestamp(noon))
        );
        assert_eq!(value("2024-13-03", ParamType::TimestampTz), None);
    }

    #[test]
    fn others() {
        assert_eq!(value("yes", ParamType::Bool), Some(ParamValue::Bool(true)));
        assert_eq!(value("40000", ParamType::Int2), None);
        assert_eq!(value("\\x00fF", ParamType::Bytea), Some(ParamValue::Bytes(vec![0, 255])));
        assert_eq!(
            value("a\\001\\\\", ParamType::Bytea),
            Some(ParamValue::Bytes(vec![b'a', 1, b'\\']))
        );
        assert_eq!(value("2000-01-01", ParamType::Date), Some(ParamValue::Date(10_957)));
        assert_eq!(value("00:00:01.5", ParamType::Time), Some(ParamValue::Time(1_500_000)));
        let error = decode(b"x", Some(ParamType::Int4)).expect_err("no number");
        assert_eq!(error.message, "invalid input syntax for type int4: \"x\"");
    }
}
