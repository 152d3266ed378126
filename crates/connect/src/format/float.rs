//! Floating point numbers as text: Java's `toString`, which Flink's formats and `print` use.

use std::io::Write;

use super::Text;

/// Writes as Java's `Double.toString` (JDK 19 and later: the shortest digits that round-trip).
pub(crate) fn push_f64(out: &mut Text, value: f64) {
    push(out, value.is_finite(), value.is_nan(), value < 0.0, |buffer| write!(buffer, "{value:e}"));
}

/// Writes as Java's `Float.toString`.
pub(crate) fn push_f32(out: &mut Text, value: f32) {
    push(out, value.is_finite(), value.is_nan(), value < 0.0, |buffer| write!(buffer, "{value:e}"));
}

fn push(
    out: &mut Text,
    finite: bool,
    nan: bool,
    negative: bool,
    scientific: impl FnOnce(&mut &mut [u8]) -> std::io::Result<()>,
) {
    if !finite {
        let name: &[u8] = match (nan, negative) {
            (true, _) => b"NaN",
            (_, true) => b"-Infinity",
            _ => b"Infinity",
        };
        out.extend_from_slice(name);
        return;
    }
    // A sign, 17 digits, a point, `e-324`: 25 bytes at most.
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    let written = scientific(&mut rest).map(|()| 32 - rest.len()).unwrap_or(0);
    let text = &buffer[..written];
    let (mantissa, exponent) = match text.iter().position(|&byte| byte == b'e') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b"0"[..]),
    };
    let exponent: i32 =
        std::str::from_utf8(exponent).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    lay_out(out, mantissa, exponent);
}

/// Java's layout: plain from 10^-3 to below 10^7, else with an exponent; always a point.
fn lay_out(out: &mut Text, mantissa: &[u8], exponent: i32) {
    let mantissa = match mantissa.strip_prefix(b"-") {
        Some(rest) => {
            out.push(b'-');
            rest
        }
        None => mantissa,
    };
    let (&first, fraction) = match mantissa {
        [first, b'.', fraction @ ..] => (first, fraction),
        [first, ..] => (first, &b""[..]),
        [] => (&b'0', &b""[..]),
    };
    match exponent {
        0..7 => {
            out.push(first);
            let whole = exponent as usize;
            for at in 0..whole {
                out.push(fraction.get(at).copied().unwrap_or(b'0'));
            }
            out.push(b'.');
            let rest = fraction.get(whole..).unwrap_or_default();
            out.extend_from_slice(if rest.is_empty() { b"0" } else { rest });
        }
        -3..0 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-exponent - 1) as usize, b'0');
            out.push(first);
            out.extend_from_slice(fraction);
        }
        _ => {
            out.push(first);
            out.push(b'.');
            out.extend_from_slice(if fraction.is_empty() { b"0" } else { fraction });
            out.push(b'E');
            out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of Java's Double.toString and Float.toString.
    #[test]
    fn java_text() {
        let check = |value: f64, expected: &str| {
            let mut out = Text::new();
            push_f64(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(0.0, "0.0");
        check(-0.0, "-0.0");
        check(1.0, "1.0");
        check(21.5, "21.5");
        check(100.0, "100.0");
        check(123_456.789, "123456.789");
        check(9_999_999.0, "9999999.0");
        check(10_000_000.0, "1.0E7");
        check(12_345_678.9, "1.23456789E7");
        check(0.001, "0.001");
        check(0.000_123, "1.23E-4");
        check(-1.5e300, "-1.5E300");
        check(f64::MIN_POSITIVE, "2.2250738585072014E-308");
        check(f64::MAX, "1.7976931348623157E308");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-Infinity");
        let mut out = Text::new();
        push_f32(&mut out, 0.1);
        assert_eq!(out, b"0.1");
    }
}
