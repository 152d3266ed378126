//! Rows as JSON objects, as Flink's `json` format writes them.
//!
//! Timestamps have as many digits behind the second as they need, doubles are written as
//! Java writes them, NaN and infinities as strings, bytes as base64. Decimals are written
//! plain and with their scale (Flink drops zeros at the end, and may use an exponent).

use arrow_array::RecordBatch;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::scan::special_bytes;
use super::{JsonOptions, NullKey};
use crate::format::cells::{Cells, NamedCells, Values};
use crate::format::datetime::{DayTime, Fraction, push_date, push_time, push_timestamp};
use crate::format::decimal::push_plain;
use crate::format::float::{push_f32, push_f64};
use crate::format::{RowEncoder, Text};

/// Encodes rows as JSON objects.
#[derive(Debug)]
pub(crate) struct JsonEncoder {
    options: JsonOptions,
    columns: Vec<NamedCells>,
}

impl JsonEncoder {
    pub(crate) fn new(options: &JsonOptions) -> Self {
        Self { options: options.clone(), columns: Vec::new() }
    }
}

impl RowEncoder for JsonEncoder {
    fn begin(&mut self, rows: &RecordBatch) -> Result<()> {
        self.columns = Cells::of_batch(rows)?;
        Ok(())
    }

    fn encode(&mut self, row: usize, out: &mut Text) -> Result<()> {
        object(&self.columns, row, out, &self.options)
    }
}

fn object(fields: &[NamedCells], row: usize, out: &mut Text, options: &JsonOptions) -> Result<()> {
    out.push(b'{');
    let mut first = true;
    for field in fields {
        if options.ignore_null_fields && field.cells.is_null(row) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(&field.json_key);
        value(&field.cells, row, out, options)?;
    }
    out.push(b'}');
    Ok(())
}

fn value(cells: &Cells, row: usize, out: &mut Text, options: &JsonOptions) -> Result<()> {
    if cells.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &cells.values {
        Values::Struct(fields) => return object(fields, row, out, options),
        Values::List(offsets, items) => {
            out.push(b'[');
            for (count, item) in span(offsets, row).enumerate() {
                if count > 0 {
                    out.push(b',');
                }
                value(items, item, out, options)?;
            }
            out.push(b']');
        }
        Values::Map { offsets, keys, values } => {
            out.push(b'{');
            let mut first = true;
            for entry in span(offsets, row) {
                let mark = out.len();
                if !first {
                    out.push(b',');
                }
                if map_key(keys, entry, out, options)? {
                    out.push(b':');
                    value(values, entry, out, options)?;
                    first = false;
                } else {
                    out.truncate(mark);
                }
            }
            out.push(b'}');
        }
        values => scalar(values, row, out, options),
    }
    Ok(())
}

fn span(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

/// Writes a map's key; false where the entry is to be left out.
fn map_key(keys: &Cells, entry: usize, out: &mut Text, options: &JsonOptions) -> Result<bool> {
    if keys.is_null(entry) {
        return match &options.null_key {
            NullKey::Drop => Ok(false),
            NullKey::Literal(literal) => {
                push_string(out, literal);
                Ok(true)
            }
            NullKey::Fail => Err(StreamError::Invalid(
                "a map with a null key cannot be written as JSON; \
                 see option 'json.map-null-key.mode'"
                    .into(),
            )),
        };
    }
    let start = out.len();
    scalar(&keys.values, entry, out, options);
    if out.get(start) != Some(&b'"') {
        out.insert(start, b'"');
        out.push(b'"');
    }
    Ok(true)
}

fn scalar(values: &Values, row: usize, out: &mut Text, options: &JsonOptions) {
    match values {
        Values::Null => out.extend_from_slice(b"null"),
        Values::Boolean(values) => {
            out.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
        }
        Values::Int8(values) => push_integer(out, values[row]),
        Values::Int16(values) => push_integer(out, values[row]),
        Values::Int32(values) => push_integer(out, values[row]),
        Values::Int64(values) => push_integer(out, values[row]),
        Values::UInt64(values) => push_integer(out, values[row]),
        Values::Float32(values) => {
            quoted_if(out, !values[row].is_finite(), |out| push_f32(out, values[row]));
        }
        Values::Float64(values) => {
            quoted_if(out, !values[row].is_finite(), |out| push_f64(out, values[row]));
        }
        Values::Decimal(values, scale) => push_plain(out, values[row], *scale),
        Values::String(values) => push_string(out, values.value(row)),
        Values::StringView(values) => push_string(out, values.value(row)),
        Values::Binary(values) => push_base64(out, values.value(row)),
        Values::BinaryView(values) => push_base64(out, values.value(row)),
        Values::Date(values) => quoted_if(out, true, |out| push_date(out, values[row])),
        Values::Time(values) => {
            quoted_if(out, true, |out| push_time(out, values[row], Fraction::Shortest));
        }
        Values::Timestamp { values, unit, zoned } => quoted_if(out, true, |out| {
            let at = DayTime::of_unit(values[row], *unit);
            push_timestamp(out, at, options.timestamps, *zoned);
        }),
        // Handled by those who call.
        Values::Struct(_) | Values::List(..) | Values::Map { .. } => {}
    }
}

fn push_integer(out: &mut Text, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn quoted_if(out: &mut Text, quoted: bool, write: impl FnOnce(&mut Text)) {
    if quoted {
        out.push(b'"');
    }
    write(out);
    if quoted {
        out.push(b'"');
    }
}

fn push_base64(out: &mut Text, bytes: &[u8]) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}

/// A name as a key, with its colon.
pub(crate) fn json_key(name: &str) -> Box<[u8]> {
    let mut key = Text::new();
    push_string(&mut key, name);
    key.push(b':');
    key.into()
}

/// Writes a string with its quotes, and escapes what JSON wants escaped.
pub(super) fn push_string(out: &mut Text, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&special) = rest.get(plain) else { break };
        push_escaped(out, special);
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

/// How many bytes go out as they are.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return number * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    let special = |&byte: &u8| byte < b' ' || byte == b'"' || byte == b'\\';
    words.len() * 8 + tail.iter().position(special).unwrap_or(tail.len())
}

#[cold]
fn push_escaped(out: &mut Text, byte: u8) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x8 => out.extend_from_slice(b"\\b"),
        0xc => out.extend_from_slice(b"\\f"),
        control => {
            let digits = b"0123456789ABCDEF";
            let (high, low) = (usize::from(control >> 4), usize::from(control & 15));
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[digits[high], digits[low]]);
        }
    }
}
