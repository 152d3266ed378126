//! The `print` connector: a line a row, as Flink's prints rows.
//!
//! ```text
//! +I[1, Alice, null]
//! ```
//!
//! Values look as Java's `toString` shows them: `2023-11-14T23:59:10.500` for timestamps,
//! `[1, 2]` for arrays and byte strings, `{a=1}` for maps, `+I[...]` for nested rows. A
//! prefix is only written where `print-identifier` asks for one.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::ids::Epoch;
use thalweg_stream::ChangeBatch;
use thalweg_stream::error::Result;
use thalweg_stream::sink::{Delivery, OutputChunk, Publication, Sink, SinkPublisher, SinkWriter};

use crate::format::Text;
use crate::format::cells::{Cells, NamedCells, Values};
use crate::format::datetime::{DayTime, push_date, push_java_time, push_java_timestamp};
use crate::format::decimal::push_java;
use crate::format::float::{push_f32, push_f64};
use crate::options::Known;

/// Where lines go: standard output, say.
pub type LineWriter = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// The connector's options.
pub(crate) const OPTIONS: &[Known] =
    &[Known::new("print-identifier"), Known::new("standard-error"), Known::new("sink.parallelism")];

/// Prints rows.
pub(crate) struct PrintSink {
    pub(crate) identifier: Option<String>,
    pub(crate) out: LineWriter,
}

impl Sink for PrintSink {
    fn partitions(&self) -> i32 {
        1
    }

    fn accepts_updates(&self) -> bool {
        true
    }

    fn writer(&self, subtask: usize, parallelism: usize) -> Result<Box<dyn SinkWriter>> {
        let prefix = match &self.identifier {
            None => String::new(),
            Some(identifier) if parallelism > 1 => format!("{identifier}:{}> ", subtask + 1),
            Some(identifier) => format!("{identifier}> "),
        };
        Ok(Box::new(PrintWriter { prefix, lines: Text::new(), count: 0 }))
    }

    fn publisher(&self) -> Result<Box<dyn SinkPublisher>> {
        Ok(Box::new(PrintPublisher { out: self.out.clone() }))
    }
}

struct PrintWriter {
    prefix: String,
    lines: Text,
    count: u32,
}

impl SinkWriter for PrintWriter {
    fn write(&mut self, batch: &ChangeBatch) -> Result<()> {
        let columns = Cells::of_batch(&batch.rows)?;
        for row in 0..batch.num_rows() {
            self.lines.extend_from_slice(self.prefix.as_bytes());
            push_row(&mut self.lines, batch.kind(row).short(), &columns, row);
            self.lines.push(b'\n');
        }
        self.count += batch.num_rows() as u32;
        Ok(())
    }

    fn buffered_bytes(&self) -> usize {
        self.lines.len()
    }

    fn finish_epoch(&mut self) -> Result<Vec<OutputChunk>> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        let bytes = Bytes::from(std::mem::take(&mut self.lines));
        let count = std::mem::take(&mut self.count);
        Ok(vec![OutputChunk { partition: 0, count, bytes }])
    }
}

struct PrintPublisher {
    out: LineWriter,
}

impl SinkPublisher for PrintPublisher {
    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn publish(&mut self, _publication: Publication, chunk: &OutputChunk) -> Result<()> {
        (self.out)(&chunk.bytes);
        Ok(())
    }

    fn finish_epoch(&mut self, _epoch: Epoch) -> Result<()> {
        Ok(())
    }
}

/// Writes a row as Flink's `Row.toString`.
fn push_row(out: &mut Text, kind: &str, fields: &[NamedCells], row: usize) {
    out.extend_from_slice(kind.as_bytes());
    out.push(b'[');
    for (count, field) in fields.iter().enumerate() {
        separate(out, count);
        push_value(out, &field.cells, row);
    }
    out.push(b']');
}

fn separate(out: &mut Text, count: usize) {
    if count > 0 {
        out.extend_from_slice(b", ");
    }
}

fn push_value(out: &mut Text, cells: &Cells, row: usize) {
    if cells.is_null(row) {
        out.extend_from_slice(b"null");
        return;
    }
    match &cells.values {
        Values::Null => out.extend_from_slice(b"null"),
        Values::Boolean(values) => {
            out.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
        }
        Values::Int8(values) => push_integer(out, values[row]),
        Values::Int16(values) => push_integer(out, values[row]),
        Values::Int32(values) => push_integer(out, values[row]),
        Values::Int64(values) => push_integer(out, values[row]),
        Values::UInt64(values) => push_integer(out, values[row]),
        Values::Float32(values) => push_f32(out, values[row]),
        Values::Float64(values) => push_f64(out, values[row]),
        Values::Decimal(values, scale) => push_java(out, values[row], *scale),
        Values::String(values) => out.extend_from_slice(values.value(row).as_bytes()),
        Values::StringView(values) => out.extend_from_slice(values.value(row).as_bytes()),
        Values::Binary(values) => push_bytes(out, values.value(row)),
        Values::BinaryView(values) => push_bytes(out, values.value(row)),
        Values::Date(values) => push_date(out, values[row]),
        Values::Time(values) => push_java_time(out, values[row]),
        Values::Timestamp { values, unit, zoned } => {
            push_java_timestamp(out, DayTime::of_unit(values[row], *unit), *zoned);
        }
        Values::Struct(fields) => push_row(out, "+I", fields, row),
        Values::List(offsets, items) => {
            out.push(b'[');
            for (count, item) in (offsets[row]..offsets[row + 1]).enumerate() {
                separate(out, count);
                push_value(out, items, item as usize);
            }
            out.push(b']');
        }
        Values::Map { offsets, keys, values } => {
            out.push(b'{');
            for (count, entry) in (offsets[row]..offsets[row + 1]).enumerate() {
                separate(out, count);
                push_value(out, keys, entry as usize);
                out.push(b'=');
                push_value(out, values, entry as usize);
            }
            out.push(b'}');
        }
    }
}

fn push_integer(out: &mut Text, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes bytes as Java's `Arrays.toString`: signed numbers.
fn push_bytes(out: &mut Text, bytes: &[u8]) {
    out.push(b'[');
    for (count, &byte) in bytes.iter().enumerate() {
        separate(out, count);
        push_integer(out, byte as i8);
    }
    out.push(b']');
}
