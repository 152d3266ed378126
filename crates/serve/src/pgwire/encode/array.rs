//! Lists of plain values as PostgreSQL's one-dimensional arrays.

use arrow_array::LargeListArray;
use bytes::{BufMut, BytesMut};
use pgwire::api::Type;

use super::values::{Values, items};
use super::{Format, put_value, text};

/// Appends `{1,NULL,"a b"}`.
pub(super) fn put_text(list: &LargeListArray, values: &Values, row: usize, out: &mut BytesMut) {
    out.put_u8(b'{');
    let range = items(list, row);
    let first = range.start;
    let mut item_text = BytesMut::new();
    for item in range {
        if item > first {
            out.put_u8(b',');
        }
        if values.is_null(item) {
            out.put_slice(b"NULL");
            continue;
        }
        item_text.clear();
        text::put(values, item, &mut item_text);
        if needs_quotes(&item_text) {
            out.put_u8(b'"');
            for &byte in &item_text {
                if matches!(byte, b'"' | b'\\') {
                    out.put_u8(b'\\');
                }
                out.put_u8(byte);
            }
            out.put_u8(b'"');
        } else {
            out.put_slice(&item_text);
        }
    }
    out.put_u8(b'}');
}

fn needs_quotes(item: &[u8]) -> bool {
    item.is_empty()
        || item.eq_ignore_ascii_case(b"null")
        || item.iter().any(|byte| {
            matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace()
        })
}

/// Appends what `array_send` writes: dimensions, whether there are nulls, the item type,
/// then length and lower bound, then the items.
pub(super) fn put_binary(
    list: &LargeListArray,
    values: &Values,
    item_type: &Type,
    row: usize,
    out: &mut BytesMut,
) {
    let range = items(list, row);
    let has_nulls = range.clone().any(|item| values.is_null(item));
    out.put_i32(i32::from(!range.is_empty()));
    out.put_i32(i32::from(has_nulls));
    out.put_u32(item_type.oid());
    if range.is_empty() {
        return;
    }
    out.put_i32(range.len() as i32);
    out.put_i32(1);
    for item in range {
        put_value(values, item, Format::Binary, out);
    }
}
