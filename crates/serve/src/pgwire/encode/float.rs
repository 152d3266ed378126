//! Floats as PostgreSQL 12 and later print them: the shortest digits that read back to
//! the same value, with an exponent where it is small or large.

use std::fmt::{self, Write};

use bytes::BytesMut;

/// Appends a `real`.
pub(super) fn put_f32(value: f32, out: &mut BytesMut) -> fmt::Result {
    match special(f64::from(value)) {
        Some(word) => out.write_str(word),
        None => put_digits(&format!("{value:e}"), 6, out),
    }
}

/// Appends a `double precision`.
pub(super) fn put_f64(value: f64, out: &mut BytesMut) -> fmt::Result {
    match special(value) {
        Some(word) => out.write_str(word),
        None => put_digits(&format!("{value:e}"), 15, out),
    }
}

/// The words for what is not a number.
pub(super) fn special(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// Turns Rust's shortest scientific form, such as `-1.25e-7`, into PostgreSQL's choice:
/// plain digits for exponents from -4 to below `digits`, else `-1.25e-07`.
fn put_digits(scientific: &str, digits: i32, out: &mut BytesMut) -> fmt::Result {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) =
        mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    if !(-4..digits).contains(&exponent) {
        let sign_of_exponent = if exponent < 0 { '-' } else { '+' };
        return write!(out, "{sign}{mantissa}e{sign_of_exponent}{:02}", exponent.abs());
    }
    let plain: String = mantissa.chars().filter(|c| *c != '.').collect();
    out.write_str(sign)?;
    if exponent < 0 {
        return write!(out, "0.{}{plain}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if plain.len() <= whole {
        return write!(out, "{plain}{}", "0".repeat(whole - plain.len()));
    }
    write!(out, "{}.{}", &plain[..whole], &plain[whole..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f64_text(value: f64) -> String {
        let mut out = BytesMut::new();
        put_f64(value, &mut out).expect("writes");
        String::from_utf8(out.to_vec()).expect("text")
    }

    /// What PostgreSQL 15 prints.
    #[test]
    fn doubles() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456_789.125, "123456789.125"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(f64_text(value), text);
        }
    }

    #[test]
    fn reals() {
        for (value, text) in [(100_000.0_f32, "100000"), (1e6, "1e+06"), (0.1, "0.1")] {
            let mut out = BytesMut::new();
            put_f32(value, &mut out).expect("writes");
            assert_eq!(out, text);
        }
    }
}
