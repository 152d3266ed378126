//! Interval literals in all of the standard's forms, brought to the one that DataFusion
//! reads.

use sqlparser::ast::{DateTimeField, Expr, Interval, Value};

use crate::error::{ErrorCode, Result, SqlError};

/// Rewrites `INTERVAL '1 02:03' DAY TO MINUTE` to a number of months or milliseconds.
pub(crate) fn normalise(interval: &mut Interval) -> Result<()> {
    let text = match &*interval.value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.clone(),
            Value::Number(digits, _) => digits.clone(),
            _ => return Err(invalid("an interval must be a constant")),
        },
        _ => return Err(invalid("an interval must be a constant")),
    };
    let Some(first) = &interval.leading_field else {
        // Already in DataFusion's form, or PostgreSQL's `INTERVAL '1 day'`.
        return Ok(());
    };
    let last = interval.last_field.as_ref().unwrap_or(first);
    let (first, last) = (Field::of(first)?, Field::of(last)?);
    let months = matches!(first, Field::Year | Field::Month);
    let value = parse(text.trim(), first, last)
        .ok_or_else(|| invalid(format!("'{text}' is not an interval of these units")))?;
    let unit = if months { "month" } else { "milliseconds" };
    let text = Value::SingleQuotedString(format!("{value} {unit}"));
    *interval = Interval {
        value: Box::new(Expr::Value(text.into())),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    };
    Ok(())
}

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(ErrorCode::InvalidArgument, message)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Field {
    fn of(field: &DateTimeField) -> Result<Self> {
        Ok(match field {
            DateTimeField::Year | DateTimeField::Years => Self::Year,
            DateTimeField::Quarter => Self::Quarter,
            DateTimeField::Month | DateTimeField::Months => Self::Month,
            DateTimeField::Week(_) | DateTimeField::Weeks => Self::Week,
            DateTimeField::Day | DateTimeField::Days => Self::Day,
            DateTimeField::Hour | DateTimeField::Hours => Self::Hour,
            DateTimeField::Minute | DateTimeField::Minutes => Self::Minute,
            DateTimeField::Second | DateTimeField::Seconds => Self::Second,
            DateTimeField::Millisecond | DateTimeField::Milliseconds => Self::Millisecond,
            other => return Err(invalid(format!("intervals have no unit {other}"))),
        })
    }

    /// In months or milliseconds.
    fn length(self) -> i64 {
        match self {
            Self::Year => 12,
            Self::Quarter => 3,
            Self::Month | Self::Millisecond => 1,
            Self::Week => 7 * 86_400_000,
            Self::Day => 86_400_000,
            Self::Hour => 3_600_000,
            Self::Minute => 60_000,
            Self::Second => 1000,
        }
    }
}

/// Months or milliseconds.
fn parse(text: &str, first: Field, last: Field) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim()),
    };
    const ORDER: [Field; 6] =
        [Field::Year, Field::Month, Field::Day, Field::Hour, Field::Minute, Field::Second];
    let fields: Vec<Field> = if first == last {
        vec![first]
    } else {
        ORDER.into_iter().filter(|field| (first..=last).contains(field)).collect()
    };
    let parts: Vec<&str> = text.split([' ', ':', '-']).filter(|part| !part.is_empty()).collect();
    if parts.len() != fields.len() || fields.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    for (part, field) in parts.iter().zip(&fields) {
        total = total.checked_add(part_length(part, *field)?)?;
    }
    Some(if negative { -total } else { total })
}

/// Only seconds may have a fraction.
fn part_length(part: &str, field: Field) -> Option<i64> {
    if field == Field::Second
        && let Some((whole, fraction)) = part.split_once('.')
    {
        let millis = format!("{fraction:0<3}");
        let millis: i64 = millis.get(..3)?.parse().ok()?;
        return whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(millis);
    }
    part.parse::<i64>().ok()?.checked_mul(field.length())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_the_standard() {
        for (text, first, last, value) in [
            ("10", Field::Second, Field::Second, Some(10_000)),
            ("1.5", Field::Second, Field::Second, Some(1_500)),
            ("-2", Field::Hour, Field::Hour, Some(-7_200_000)),
            ("1 02:03:04", Field::Day, Field::Second, Some(93_784_000)),
            ("1:30", Field::Minute, Field::Second, Some(90_000)),
            ("2-3", Field::Year, Field::Month, Some(27)),
            ("1:2", Field::Hour, Field::Hour, None),
            ("x", Field::Day, Field::Day, None),
        ] {
            assert_eq!(parse(text, first, last), value, "{text}");
        }
    }
}
