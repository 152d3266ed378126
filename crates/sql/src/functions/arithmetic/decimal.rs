//! Decimals: Flink's rules on precision and scale, and exact arithmetic that gives null
//! where a result does not fit.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::Decimal128Array;
use datafusion::arrow::datatypes::i256;

use crate::functions::values::KernelResult;
use crate::types::{MAX_DECIMAL_PRECISION, SqlType};

/// `10^exponent`; exponents are at most 38.
pub(crate) fn power_of_ten(exponent: u8) -> i128 {
    10_i128.pow(u32::from(exponent.min(MAX_DECIMAL_PRECISION)))
}

/// Fits a wanted precision and scale into 38 digits: whole digits are kept before
/// fractional ones, of which at least six stay.
pub(crate) fn adjust(precision: u32, scale: u32) -> SqlType {
    let most = u32::from(MAX_DECIMAL_PRECISION);
    if precision <= most {
        return SqlType::Decimal(precision as u8, scale as u8);
    }
    let whole = precision - scale;
    let scale = most.saturating_sub(whole).max(scale.min(6));
    SqlType::Decimal(most as u8, scale as u8)
}

/// Type of a sum or difference.
pub(crate) fn sum_type((p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> SqlType {
    let scale = s1.max(s2);
    adjust(u32::from((p1 - s1).max(p2 - s2)) + u32::from(scale) + 1, u32::from(scale))
}

/// Type of a product.
pub(crate) fn product_type((p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> SqlType {
    adjust(u32::from(p1) + u32::from(p2), u32::from(s1) + u32::from(s2))
}

/// Type of a quotient.
pub(crate) fn quotient_type((p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> SqlType {
    let scale = 6.max(u32::from(s1) + u32::from(p2) + 1);
    adjust(u32::from(p1) - u32::from(s1) + u32::from(s2) + scale, scale)
}

/// Type of a remainder.
pub(crate) fn remainder_type((p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> SqlType {
    let scale = s1.max(s2);
    adjust(u32::from((p1 - s1).min(p2 - s2)) + u32::from(scale), u32::from(scale))
}

/// The smallest type that holds both.
pub(crate) fn common_type((p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> SqlType {
    let scale = s1.max(s2);
    adjust(u32::from((p1 - s1).max(p2 - s2)) + u32::from(scale), u32::from(scale))
}

/// Divides and rounds half away from zero.
pub(crate) fn divide_half_up(value: i128, by: i128) -> Option<i128> {
    let quotient = value.checked_div(by)?;
    let rest = value % by;
    if rest.unsigned_abs() >= by.unsigned_abs() - rest.unsigned_abs() && rest != 0 {
        return Some(quotient + if (value < 0) == (by < 0) { 1 } else { -1 });
    }
    Some(quotient)
}

/// As [`divide_half_up`] for wide numbers; nothing where the result needs more than 128
/// bits.
pub(crate) fn divide_wide(value: i256, by: i256) -> Option<i128> {
    let quotient = value.checked_div(by)?;
    let rest = value.checked_rem(by)?.wrapping_abs();
    let up = rest != i256::ZERO && rest >= by.wrapping_abs() - rest;
    let away = if (value < i256::ZERO) == (by < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    if up { quotient.checked_add(away)?.to_i128() } else { quotient.to_i128() }
}

/// The same value with another scale, rounded half away from zero.
pub(crate) fn rescale(value: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        value.checked_mul(power_of_ten(to - from))
    } else {
        divide_half_up(value, power_of_ten(from - to))
    }
}

/// Whether the text is a number, with or without fraction and exponent.
pub(crate) fn is_number(text: &str) -> bool {
    let text = text.trim();
    text.parse::<f64>().is_ok() && !text.contains(['i', 'I', 'n', 'N'])
}

/// Reads a number at a scale, rounded half away from zero; null where it has more
/// digits than fit, or is no number.
pub(crate) fn parse(text: &str, scale: u8) -> Option<i128> {
    if !is_number(text) {
        return None;
    }
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    // Where the last digit that counts stands, from the start of `whole`.
    let wanted = whole.len() as i64 + i64::from(exponent) + i64::from(scale);
    let mut value: i128 = 0;
    let digits = whole.bytes().chain(fraction.bytes()).map(|byte| i128::from(byte - b'0'));
    let all = whole.len() as i64 + fraction.len() as i64;
    for (place, digit) in (0_i64..).zip(digits) {
        if place < wanted {
            value = value.checked_mul(10)?.checked_add(digit)?;
        } else {
            if place == wanted && digit >= 5 {
                value = value.checked_add(1)?;
            }
            break;
        }
    }
    let missing = wanted - all.min(wanted.max(0));
    if missing > 0 && value != 0 {
        value = value.checked_mul(10_i128.checked_pow(u32::try_from(missing).ok()?)?)?;
    }
    Some(if negative { -value } else { value })
}

/// Writes all digits of the scale.
pub(crate) fn write(out: &mut String, value: i128, scale: u8) {
    if value < 0 {
        out.push('-');
    }
    let digits = value.unsigned_abs();
    if scale == 0 {
        let _ = write!(out, "{digits}");
        return;
    }
    let unit = power_of_ten(scale).unsigned_abs();
    let width = usize::from(scale);
    let _ = write!(out, "{}.{:0width$}", digits / unit, digits % unit);
}

/// Decimals row by row; what has more digits than the type is null.
pub(crate) fn array(
    rows: usize,
    precision: u8,
    scale: u8,
    mut value: impl FnMut(usize) -> Option<i128>,
) -> KernelResult {
    let limit = power_of_ten(precision);
    let fits = |value: &i128| -limit < *value && *value < limit;
    let array: Decimal128Array = (0..rows).map(|row| value(row).filter(fits)).collect();
    array
        .with_precision_and_scale(precision, scale as i8)
        .map(|array| Arc::new(array) as _)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_flink() {
        // 0.908 * BIGINT
        assert_eq!(product_type((3, 3), (20, 0)), SqlType::Decimal(23, 3));
        assert_eq!(sum_type((10, 2), (5, 4)), SqlType::Decimal(13, 4));
        assert_eq!(quotient_type((10, 2), (5, 1)), SqlType::Decimal(17, 8));
        assert_eq!(product_type((38, 10), (38, 10)), SqlType::Decimal(38, 6));
        assert_eq!(adjust(77, 20), SqlType::Decimal(38, 6));
    }

    #[test]
    fn reads_and_rounds_half_up() {
        for (text, scale, value) in [
            ("1.005", 2, Some(101)),
            ("-1.005", 2, Some(-101)),
            ("1e3", 1, Some(10_000)),
            ("12.5E-1", 2, Some(125)),
            ("0.0049", 2, Some(0)),
            (".5", 0, Some(1)),
            ("abc", 2, None),
            ("1e60", 2, None),
        ] {
            assert_eq!(parse(text, scale), value, "{text}");
        }
    }

    #[test]
    fn divides_half_up() {
        assert_eq!(divide_half_up(5, 2), Some(3));
        assert_eq!(divide_half_up(-5, 2), Some(-3));
        assert_eq!(divide_half_up(1, 3), Some(0));
        assert_eq!(divide_half_up(2, 3), Some(1));
        assert_eq!(divide_half_up(1, 0), None);
    }
}
