//! Decimals as text: exact in, plain or as Java's `BigDecimal.toString` out.

use super::Text;

/// The largest precision of a decimal of 128 bits.
const MAX_DIGITS: i64 = 38;

/// Why a text is not a decimal of the wanted type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DecimalFault {
    /// Not a number.
    Syntax,
    /// More digits before the point than the type has.
    Overflow,
}

/// The unscaled value of `text` as `DECIMAL(precision, scale)`. Digits beyond the scale are
/// rounded half up (away from zero), as Flink does.
pub(crate) fn parse_decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, DecimalFault> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mantissa_len =
        rest.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(rest.len());
    let (mantissa, exponent) = rest.split_at(mantissa_len);
    let exponent = parse_exponent(exponent)?;
    let point = mantissa.iter().position(|&byte| byte == b'.');
    let fraction_len = point.map_or(0, |at| mantissa.len() - at - 1) as i64;
    if mantissa.len() == usize::from(point.is_some()) {
        return Err(DecimalFault::Syntax);
    }
    let shift = exponent.saturating_sub(fraction_len).saturating_add(i64::from(scale));
    let magnitude = scaled_digits(mantissa, point, shift)?;
    if magnitude >= 10_u128.pow(u32::from(precision).min(MAX_DIGITS as u32)) {
        return Err(DecimalFault::Overflow);
    }
    Ok(if negative { -(magnitude as i128) } else { magnitude as i128 })
}

fn parse_exponent(text: &[u8]) -> Result<i64, DecimalFault> {
    let (negative, digits) = match text {
        [] => return Ok(0),
        [_, b'-', digits @ ..] => (true, digits),
        [_, b'+', digits @ ..] | [_, digits @ ..] => (false, digits),
    };
    if digits.is_empty() {
        return Err(DecimalFault::Syntax);
    }
    let mut exponent: i64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return Err(DecimalFault::Syntax);
        }
        // Far beyond any decimal: the exact value no longer matters.
        exponent = (exponent * 10 + i64::from(digit - b'0')).min(1 << 40);
    }
    Ok(if negative { -exponent } else { exponent })
}

/// The digits of `mantissa` (without the point at `point`) times ten to the `shift`,
/// rounded half up.
fn scaled_digits(mantissa: &[u8], point: Option<usize>, shift: i64) -> Result<u128, DecimalFault> {
    let mut value: u128 = 0;
    // Digits that count: all but the last `-shift` ones.
    let digits = mantissa.len() - usize::from(point.is_some());
    let kept = digits as i64 + shift.min(0);
    let mut place: i64 = 0;
    let mut overflow = false;
    for (at, &byte) in mantissa.iter().enumerate() {
        if Some(at) == point {
            continue;
        }
        if !byte.is_ascii_digit() {
            return Err(DecimalFault::Syntax);
        }
        let digit = u128::from(byte - b'0');
        if place < kept {
            match value.checked_mul(10) {
                Some(shifted) if shifted < 10_u128.pow(38) => value = shifted + digit,
                _ => overflow = true,
            }
        } else if place == kept && digit >= 5 {
            value += 1;
        }
        place += 1;
    }
    if overflow {
        return Err(DecimalFault::Overflow);
    }
    if shift <= 0 || value == 0 {
        return Ok(value);
    }
    let factor = u32::try_from(shift).ok().and_then(|shift| 10_u128.checked_pow(shift));
    factor.and_then(|factor| value.checked_mul(factor)).ok_or(DecimalFault::Overflow)
}

/// Writes all digits, without an exponent.
pub(crate) fn push_plain(out: &mut Text, value: i128, scale: i8) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs()).as_bytes();
    match usize::try_from(scale) {
        Ok(0) => out.extend_from_slice(digits),
        Ok(scale) if digits.len() > scale => {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        Ok(scale) => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + scale - digits.len(), b'0');
            out.extend_from_slice(digits);
        }
        Err(_) => {
            out.extend_from_slice(digits);
            if value != 0 {
                out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
            }
        }
    }
}

/// Writes as Java's `BigDecimal.toString`: with an exponent where it is below -6.
pub(crate) fn push_java(out: &mut Text, value: i128, scale: i8) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs()).as_bytes();
    let exponent = digits.len() as i64 - 1 - i64::from(scale);
    if scale >= 0 && exponent >= -6 {
        return push_plain(out, value, scale);
    }
    if value < 0 {
        out.push(b'-');
    }
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.push(b'E');
    if exponent >= 0 {
        out.push(b'+');
    }
    out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_and_rounded_half_up() {
        let check = |text: &str, expected| {
            assert_eq!(parse_decimal(text.as_bytes(), 10, 2), expected, "{text}");
        };
        check("0", Ok(0));
        check("1.5", Ok(150));
        check("-1.50", Ok(-150));
        check("+7", Ok(700));
        check("0.005", Ok(1));
        check("0.0049999999999999999999999999999999999999999999999999", Ok(0));
        check("-0.005", Ok(-1));
        check("1.5e3", Ok(150_000));
        check("150000E-5", Ok(150));
        check("1e-100000", Ok(0));
        check("9e-3", Ok(1));
        check("99999999.99", Ok(9_999_999_999));
        check("99999999.995", Err(DecimalFault::Overflow));
        check("1e8", Err(DecimalFault::Overflow));
        check("1e999999999999999999999", Err(DecimalFault::Overflow));
        check("0e999999999999999999999", Ok(0));
        check(".5", Ok(50));
        check("5.", Ok(500));
        for bad in ["", "-", ".", "1.2.3", "abc", "1e", "1e+", "1x", "0x10", "1e1.5"] {
            check(bad, Err(DecimalFault::Syntax));
        }
    }

    #[test]
    fn the_largest_decimals() {
        let nines = "9".repeat(38);
        assert_eq!(parse_decimal(nines.as_bytes(), 38, 0), Ok(10_i128.pow(38) - 1));
        let text = format!("{}.5", "9".repeat(37));
        assert_eq!(parse_decimal(text.as_bytes(), 38, 1), Ok(10_i128.pow(38) - 5));
        assert_eq!(parse_decimal("9".repeat(39).as_bytes(), 38, 0), Err(DecimalFault::Overflow));
        assert_eq!(parse_decimal("9".repeat(400).as_bytes(), 38, 0), Err(DecimalFault::Overflow));
    }

    /// Expected values are those of java.math.BigDecimal.
    #[test]
    fn plain_and_java_text() {
        let check = |value, scale, plain: &str, java: &str| {
            let (mut first, mut second) = (Text::new(), Text::new());
            push_plain(&mut first, value, scale);
            push_java(&mut second, value, scale);
            assert_eq!(String::from_utf8(first).unwrap(), plain);
            assert_eq!(String::from_utf8(second).unwrap(), java);
        };
        check(0, 0, "0", "0");
        check(0, 2, "0.00", "0.00");
        check(0, 8, "0.00000000", "0E-8");
        check(-150, 2, "-1.50", "-1.50");
        check(5, 2, "0.05", "0.05");
        check(27, 9, "0.000000027", "2.7E-8");
        check(1, 7, "0.0000001", "1E-7");
        check(1, 6, "0.000001", "0.000001");
        check(12, -2, "1200", "1.2E+3");
    }
}
