//! Nested values as JSON text.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};

use super::values::{Values, items};
use super::{float, text};

/// Appends a value, `null` where there is none. Numbers stay numbers, what JSON has no
/// word for is a string in its text form.
pub(super) fn put(values: &Values, row: usize, out: &mut BytesMut) {
    if values.is_null(row) {
        out.put_slice(b"null");
        return;
    }
    match values {
        Values::Bool(array) => {
            out.put_slice(if array.value(row) { b"true" } else { b"false" });
        }
        Values::Int16(_)
        | Values::Int32(_)
        | Values::Int64(_)
        | Values::Decimal128(_)
        | Values::Decimal256(_) => text::put(values, row, out),
        Values::Float32(array) => put_float(f64::from(array.value(row)), values, row, out),
        Values::Float64(array) => put_float(array.value(row), values, row, out),
        Values::Array(list, children, _) | Values::JsonList(list, children) => {
            put_all(b'[', b']', items(list, row), out, |item, out| put(children, item, out));
        }
        Values::Struct(_, children) => put_all(b'{', b'}', 0..children.len(), out, |child, out| {
            let (name, values) = &children[child];
            put_string(name, out);
            out.put_u8(b':');
            put(values, row, out);
        }),
        Values::Map(map, keys, children) => {
            let offsets = map.value_offsets();
            let entries = offsets[row] as usize..offsets[row + 1] as usize;
            put_all(b'{', b'}', entries, out, |entry, out| {
                put_as_string(keys, entry, out);
                out.put_u8(b':');
                put(children, entry, out);
            });
        }
        _ => put_as_string(values, row, out),
    }
}

fn put_all(
    open: u8,
    close: u8,
    range: std::ops::Range<usize>,
    out: &mut BytesMut,
    each: impl Fn(usize, &mut BytesMut),
) {
    out.put_u8(open);
    let first = range.start;
    for at in range {
        if at > first {
            out.put_u8(b',');
        }
        each(at, out);
    }
    out.put_u8(close);
}

fn put_float(value: f64, values: &Values, row: usize, out: &mut BytesMut) {
    match float::special(value) {
        Some(word) => put_string(word, out),
        None => text::put(values, row, out),
    }
}

fn put_as_string(values: &Values, row: usize, out: &mut BytesMut) {
    let mut plain = BytesMut::new();
    text::put(values, row, &mut plain);
    put_string(&String::from_utf8_lossy(&plain), out);
}

fn put_string(value: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    for character in value.chars() {
        // Writing into a buffer that grows cannot fail.
        let _ = match character {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            control if (control as u32) < 0x20 => write!(out, "\\u{:04x}", control as u32),
            other => out.write_char(other),
        };
    }
    out.put_u8(b'"');
}
