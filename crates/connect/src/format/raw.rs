//! The `raw` format: a record is one value, as Flink's format of that name.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use thalweg_stream::StreamError;
use thalweg_stream::error::Result;

use super::cells::{Cells, Values};
use super::column::{Column, Rows};
use super::datetime::TimestampStyle;
use super::types::type_name;
use super::{BlankLines, Decoded, RowDecoder, RowEncoder, Text};
use crate::options::{Known, Options};

/// Options of the format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RawOptions {
    /// Numbers have their least significant byte first.
    pub(crate) little_endian: bool,
}

/// The options, without the prefix `raw.`.
pub(crate) const OPTIONS: &[Known] = &[Known::new("charset"), Known::new("endianness")];

impl RawOptions {
    /// Reads them.
    pub(crate) fn new(options: &Options<'_>) -> Result<Self> {
        options.choice("charset", &[("UTF-8", ()), ("UTF8", ())], ())?;
        let names = [("big-endian", false), ("little-endian", true)];
        Ok(Self { little_endian: options.choice("endianness", &names, false)? })
    }
}

fn the_column(fields: &SchemaRef) -> Result<&DataType> {
    match &fields.fields()[..] {
        [field] => Ok(field.data_type()),
        fields => Err(StreamError::Invalid(format!(
            "the 'raw' format needs a table with exactly one column, this one has {}",
            fields.len()
        ))),
    }
}

/// Checks that the format can read and write these fields.
pub(crate) fn check(fields: &SchemaRef) -> Result<()> {
    let supported = match the_column(fields)? {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::BinaryView => return Ok(()),
        other => other,
    };
    Err(StreamError::Invalid(format!(
        "the 'raw' format cannot read or write type {}",
        type_name(supported)
    )))
}

/// Decodes single values.
#[derive(Debug)]
pub(crate) struct RawDecoder {
    rows: Rows,
    options: RawOptions,
}

impl RawDecoder {
    pub(crate) fn new(fields: &SchemaRef, columns: &[usize], options: &RawOptions) -> Result<Self> {
        check(fields)?;
        let wanted = Arc::new(fields.project(columns)?);
        Ok(Self { rows: Rows::new(&wanted, TimestampStyle::Sql)?, options: *options })
    }

    fn append(&mut self, record: &[u8]) -> Decoded {
        let row = self.rows.root.len();
        let Some(field) = self.rows.root.fields.first_mut() else { return Ok(()) };
        let column = &mut field.column;
        column.pad_to(row);
        let little = self.options.little_endian;
        match column {
            Column::Boolean(column) => column.append(number::<1>(record, little)? != [0]),
            Column::Int8(column) => column.append(i8::from_le_bytes(number(record, little)?)),
            Column::Int16(column) => column.append(i16::from_le_bytes(number(record, little)?)),
            Column::Int32(column) => column.append(i32::from_le_bytes(number(record, little)?)),
            Column::Int64(column) => column.append(i64::from_le_bytes(number(record, little)?)),
            Column::Float32(column) => column.append(f32::from_le_bytes(number(record, little)?)),
            Column::Float64(column) => column.append(f64::from_le_bytes(number(record, little)?)),
            Column::Binary(column) => column.append(record),
            Column::String(column) => match simdutf8::compat::from_utf8(record) {
                Ok(text) => column.append(text),
                Err(error) => {
                    return Err(format!("not valid UTF-8 (byte {})", error.valid_up_to()));
                }
            },
            _ => return Err("not a type of the raw format".into()),
        }
        Ok(())
    }
}

/// The bytes of a number, the least significant first.
fn number<const N: usize>(record: &[u8], little_endian: bool) -> Result<[u8; N], String> {
    let mut bytes: [u8; N] =
        record.try_into().map_err(|_| format!("{} bytes, but the type has {N}", record.len()))?;
    if !little_endian {
        bytes.reverse();
    }
    Ok(bytes)
}

impl RowDecoder for RawDecoder {
    fn decode(&mut self, record: &[u8]) -> Decoded {
        let outcome = self.append(record);
        self.rows.end_row(outcome.is_ok());
        outcome
    }

    fn blank_lines(&self) -> BlankLines {
        BlankLines { white: false, comments: false }
    }

    fn decode_null(&mut self) -> Decoded {
        let required = self.rows.root.any_required;
        self.rows.end_row(!required);
        if required { Err("null, but the column is NOT NULL".into()) } else { Ok(()) }
    }

    fn take_back(&mut self) {
        self.rows.take_back();
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes()
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.rows.finish()
    }
}

/// Encodes single values.
#[derive(Debug)]
pub(crate) struct RawEncoder {
    options: RawOptions,
    cells: Option<Cells>,
}

impl RawEncoder {
    pub(crate) fn new(fields: &SchemaRef, options: &RawOptions) -> Result<Self> {
        check(fields)?;
        Ok(Self { options: *options, cells: None })
    }
}

impl RowEncoder for RawEncoder {
    fn begin(&mut self, rows: &RecordBatch) -> Result<()> {
        self.cells = rows.columns().first().map(Cells::new).transpose()?;
        Ok(())
    }

    fn encode(&mut self, row: usize, out: &mut Text) -> Result<()> {
        let Some(cells) = self.cells.as_ref().filter(|cells| !cells.is_null(row)) else {
            return Ok(());
        };
        let start = out.len();
        match &cells.values {
            Values::String(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::StringView(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::Binary(values) => out.extend_from_slice(values.value(row)),
            Values::BinaryView(values) => out.extend_from_slice(values.value(row)),
            Values::Boolean(values) => out.push(u8::from(values.value(row))),
            Values::Int8(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Values::Int16(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Values::Int32(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Values::Int64(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Values::Float32(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            Values::Float64(values) => out.extend_from_slice(&values[row].to_be_bytes()),
            _ => return Err(StreamError::Internal("a type that 'raw' does not write".into())),
        }
        let is_number = !matches!(
            cells.values,
            Values::String(_) | Values::StringView(_) | Values::Binary(_) | Values::BinaryView(_)
        );
        if is_number && self.options.little_endian {
            out[start..].reverse();
        }
        Ok(())
    }

    fn is_null(&self, row: usize) -> bool {
        self.cells.as_ref().is_some_and(|cells| cells.is_null(row))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int32Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int32Type;
    use arrow_schema::{Field, Schema};

    use super::*;

    fn fields(data_type: DataType) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("v", data_type, true)]))
    }

    #[test]
    fn numbers_in_both_orders() {
        for little_endian in [false, true] {
            let options = RawOptions { little_endian };
            let fields = fields(DataType::Int32);
            let rows = RecordBatch::try_new(
                fields.clone(),
                vec![Arc::new(Int32Array::from(vec![1, -2, 300_000]))],
            )
            .unwrap();
            let mut encoder = RawEncoder::new(&fields, &options).unwrap();
            let mut decoder = RawDecoder::new(&fields, &[0], &options).unwrap();
            encoder.begin(&rows).unwrap();
            for row in 0..3 {
                let mut out = Text::new();
                encoder.encode(row, &mut out).unwrap();
                assert_eq!(out[0] == 1, row == 0 && little_endian);
                decoder.decode(&out).unwrap();
            }
            assert_eq!(decoder.decode(b"abc").unwrap_err(), "3 bytes, but the type has 4");
            decoder.decode_null().unwrap();
            let columns = decoder.finish().unwrap();
            let values = columns[0].as_primitive::<Int32Type>();
            assert_eq!(values.iter().collect::<Vec<_>>(), [Some(1), Some(-2), Some(300_000), None]);
        }
    }

    #[test]
    fn a_table_of_two_columns_is_refused() {
        let two = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Utf8, true),
        ]));
        assert!(check(&two).unwrap_err().to_string().contains("exactly one column"));
        assert!(check(&fields(DataType::Date32)).unwrap_err().to_string().contains("DATE"));
    }

    #[test]
    fn no_column_wanted_still_counts_rows() {
        let mut decoder =
            RawDecoder::new(&fields(DataType::Utf8), &[], &RawOptions { little_endian: false })
                .unwrap();
        decoder.decode(b"a").unwrap();
        decoder.decode(b"b").unwrap();
        assert_eq!(decoder.rows(), 2);
        assert_eq!(decoder.finish().unwrap().len(), 0);
    }
}
