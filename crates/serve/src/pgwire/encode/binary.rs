//! Values in binary, as PostgreSQL's send functions write them.

use bytes::{BufMut, BytesMut};

use super::values::Values;
use super::{array, json};

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// Appends a value that is not null.
pub(super) fn put(values: &Values, row: usize, out: &mut BytesMut) {
    match values {
        Values::Bool(array) => out.put_u8(u8::from(array.value(row))),
        Values::Int16(array) => out.put_i16(array.value(row)),
        Values::Int32(array) => out.put_i32(array.value(row)),
        Values::Int64(array) => out.put_i64(array.value(row)),
        Values::Float32(array) => out.put_f32(array.value(row)),
        Values::Float64(array) => out.put_f64(array.value(row)),
        Values::Decimal128(array) => put_numeric(&array.value_as_string(row), out),
        Values::Decimal256(array) => put_numeric(&array.value_as_string(row), out),
        Values::Utf8(array) => out.put_slice(array.value(row).as_bytes()),
        Values::LargeUtf8(array) => out.put_slice(array.value(row).as_bytes()),
        Values::Utf8View(array) => out.put_slice(array.value(row).as_bytes()),
        Values::Bytes(array) => out.put_slice(array.value(row)),
        Values::Date(array) => out.put_i32(array.value(row).saturating_sub(EPOCH_DAYS)),
        Values::Time(array) => out.put_i64(array.value(row)),
        Values::Timestamp(array) | Values::Instant(array, _) => {
            out.put_i64(array.value(row).saturating_sub(EPOCH_MICROS));
        }
        Values::Interval(array) => {
            let value = array.value(row);
            out.put_i64(value.nanoseconds / 1_000);
            out.put_i32(value.days);
            out.put_i32(value.months);
        }
        Values::Array(list, items, item_type) => {
            array::put_binary(list, items, item_type, row, out);
        }
        Values::JsonList(..) | Values::Struct(..) | Values::Map(..) => json::put(values, row, out),
    }
}

/// Appends a decimal given as text, such as `-12.50`: number of base-10000 digits,
/// weight of the first, sign, digits after the point, then the base-10000 digits.
fn put_numeric(text: &str, out: &mut BytesMut) {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = whole.trim_start_matches('0');
    // Both sides are filled up to whole groups of four around the decimal point.
    let mut digits = "0".repeat((4 - whole.len() % 4) % 4);
    digits.push_str(whole);
    let whole_groups = digits.len() / 4;
    digits.push_str(fraction);
    digits.push_str(&"0".repeat((4 - digits.len() % 4) % 4));
    let groups: Vec<i16> = digits
        .as_bytes()
        .chunks_exact(4)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0')))
        .collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let groups = groups.get(leading..groups.len() - trailing).unwrap_or_default();
    let weight = if groups.is_empty() { 0 } else { whole_groups as i16 - 1 - leading as i16 };
    out.put_i16(groups.len() as i16);
    out.put_i16(weight);
    out.put_i16(if negative && !groups.is_empty() { 0x4000 } else { 0 });
    out.put_i16(fraction.len() as i16);
    for group in groups {
        out.put_i16(*group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(text: &str) -> Vec<i16> {
        let mut out = BytesMut::new();
        put_numeric(text, &mut out);
        out.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    /// Count, weight, sign, scale, digits: as `numeric_send` of PostgreSQL 15 gives them.
    #[test]
    fn numerics() {
        assert_eq!(numeric("0"), [0, 0, 0, 0]);
        assert_eq!(numeric("0.00"), [0, 0, 0, 2]);
        assert_eq!(numeric("1"), [1, 0, 0, 0, 1]);
        assert_eq!(numeric("-12345.6"), [3, 1, 0x4000, 1, 1, 2345, 6000]);
        assert_eq!(numeric("10000"), [1, 1, 0, 0, 1]);
        assert_eq!(numeric("0.00005"), [1, -2, 0, 5, 5000]);
        assert_eq!(numeric("100.0100"), [2, 0, 0, 4, 100, 100]);
    }
}
