//! Rows as CSV records.

use arrow_array::RecordBatch;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::CsvOptions;
use crate::format::cells::{Cells, NamedCells, Values};
use crate::format::datetime::{
    DayTime, Fraction, TimestampStyle, push_date, push_time, push_timestamp,
};
use crate::format::decimal::push_plain;
use crate::format::float::{push_f32, push_f64};
use crate::format::{RowEncoder, Text};

/// Encodes rows as CSV records, without a line end.
#[derive(Debug)]
pub(crate) struct CsvEncoder {
    options: CsvOptions,
    columns: Vec<NamedCells>,
    /// The field being written, before it is quoted.
    field: Text,
}

impl CsvEncoder {
    pub(crate) fn new(options: &CsvOptions) -> Self {
        Self { options: options.clone(), columns: Vec::new(), field: Text::new() }
    }
}

impl RowEncoder for CsvEncoder {
    fn begin(&mut self, rows: &RecordBatch) -> Result<()> {
        self.columns = Cells::of_batch(rows)?;
        Ok(())
    }

    fn encode(&mut self, row: usize, out: &mut Text) -> Result<()> {
        for (count, column) in self.columns.iter().enumerate() {
            if count > 0 {
                out.push(self.options.delimiter);
            }
            if column.cells.is_null(row) {
                let literal = self.options.null_literal.as_deref().unwrap_or_default();
                out.extend_from_slice(literal.as_bytes());
                continue;
            }
            self.field.clear();
            push_value(&column.cells, row, &mut self.field, &self.options)?;
            push_field(&self.field, out, &self.options)?;
        }
        Ok(())
    }
}

/// Writes a field with what quoting it needs. Empty ones are quoted, null ones are not.
fn push_field(field: &[u8], out: &mut Text, options: &CsvOptions) -> Result<()> {
    let special = |byte: &u8| {
        *byte == options.delimiter
            || matches!(byte, b'\n' | b'\r')
            || Some(*byte) == options.quote
            || Some(*byte) == options.escape
    };
    let plain = !field.is_empty() && !field.iter().any(special);
    match options.quote {
        None if field.iter().any(special) => Err(StreamError::Invalid(
            "a value with the field delimiter or a line break cannot be written as CSV \
             without quotes"
                .into(),
        )),
        None => {
            out.extend_from_slice(field);
            Ok(())
        }
        Some(_) if plain => {
            out.extend_from_slice(field);
            Ok(())
        }
        Some(quote) => {
            out.push(quote);
            for &byte in field {
                if Some(byte) == options.escape {
                    out.push(byte);
                } else if byte == quote {
                    out.push(options.escape.unwrap_or(quote));
                }
                out.push(byte);
            }
            out.push(quote);
            Ok(())
        }
    }
}

fn push_value(cells: &Cells, row: usize, out: &mut Text, options: &CsvOptions) -> Result<()> {
    fn integer(out: &mut Text, value: impl itoa::Integer) {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    match &cells.values {
        Values::Null => {}
        Values::Boolean(values) => {
            out.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
        }
        Values::Int8(values) => integer(out, values[row]),
        Values::Int16(values) => integer(out, values[row]),
        Values::Int32(values) => integer(out, values[row]),
        Values::Int64(values) => integer(out, values[row]),
        Values::UInt64(values) => integer(out, values[row]),
        Values::Float32(values) => push_f32(out, values[row]),
        Values::Float64(values) => push_f64(out, values[row]),
        Values::Decimal(values, scale) => push_plain(out, values[row], *scale),
        Values::String(values) => out.extend_from_slice(values.value(row).as_bytes()),
        Values::StringView(values) => out.extend_from_slice(values.value(row).as_bytes()),
        Values::Binary(values) => {
            out.extend_from_slice(BASE64.encode(values.value(row)).as_bytes());
        }
        Values::BinaryView(values) => {
            out.extend_from_slice(BASE64.encode(values.value(row)).as_bytes());
        }
        Values::Date(values) => push_date(out, values[row]),
        Values::Time(values) => push_time(out, values[row], Fraction::Shortest),
        Values::Timestamp { values, unit, zoned } => {
            let at = DayTime::of_unit(values[row], *unit);
            push_timestamp(out, at, TimestampStyle::Sql, *zoned);
        }
        Values::List(offsets, items) => {
            let span = offsets[row] as usize..offsets[row + 1] as usize;
            for (count, item) in span.enumerate() {
                push_item(count, items, item, out, options)?;
            }
        }
        Values::Struct(fields) => {
            for (count, field) in fields.iter().enumerate() {
                push_item(count, &field.cells, row, out, options)?;
            }
        }
        Values::Map { .. } => {
            return Err(StreamError::Invalid("a MAP cannot be written as CSV".into()));
        }
    }
    Ok(())
}

fn push_item(
    count: usize,
    items: &Cells,
    item: usize,
    out: &mut Text,
    options: &CsvOptions,
) -> Result<()> {
    if count > 0 {
        out.extend_from_slice(options.array_delimiter.as_bytes());
    }
    if items.is_null(item) {
        out.extend_from_slice(options.null_literal.as_deref().unwrap_or_default().as_bytes());
        return Ok(());
    }
    push_value(items, item, out, options)
}
