//! Values as text, in the form of PostgreSQL's output functions (`DateStyle` ISO,
//! `IntervalStyle` postgres, `bytea_output` hex).

use std::fmt::Write;

use bytes::{BufMut, BytesMut};

use super::values::Values;
use super::{array, datetime, float, json};

/// Appends a value that is not null.
pub(super) fn put(values: &Values, row: usize, out: &mut BytesMut) {
    // Writing into a buffer that grows cannot fail.
    let _ = match values {
        Values::Bool(array) => out.write_str(if array.value(row) { "t" } else { "f" }),
        Values::Int16(array) => write!(out, "{}", array.value(row)),
        Values::Int32(array) => write!(out, "{}", array.value(row)),
        Values::Int64(array) => write!(out, "{}", array.value(row)),
        Values::Float32(array) => float::put_f32(array.value(row), out),
        Values::Float64(array) => float::put_f64(array.value(row), out),
        Values::Decimal128(array) => out.write_str(&array.value_as_string(row)),
        Values::Decimal256(array) => out.write_str(&array.value_as_string(row)),
        Values::Utf8(array) => out.write_str(array.value(row)),
        Values::LargeUtf8(array) => out.write_str(array.value(row)),
        Values::Utf8View(array) => out.write_str(array.value(row)),
        Values::Bytes(array) => {
            put_hex(array.value(row), out);
            Ok(())
        }
        Values::Date(array) => datetime::put_date(i64::from(array.value(row)), out),
        Values::Time(array) => datetime::put_time(array.value(row), out),
        Values::Timestamp(array) => datetime::put_timestamp(array.value(row), out),
        Values::Instant(array, zone) => datetime::put_instant(array.value(row), *zone, out),
        Values::Interval(array) => datetime::put_interval(array.value(row), out),
        Values::Array(list, items, _) => {
            array::put_text(list, items, row, out);
            Ok(())
        }
        Values::JsonList(..) | Values::Struct(..) | Values::Map(..) => {
            json::put(values, row, out);
            Ok(())
        }
    };
}

fn put_hex(bytes: &[u8], out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 + bytes.len() * 2);
    out.put_slice(b"\\x");
    for byte in bytes {
        out.put_u8(DIGITS[usize::from(byte >> 4)]);
        out.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}
