//! Rows of Arrow as PostgreSQL sends them: text and binary values in data rows.
//!
//! One column knows its typed array once a batch ([`Values`]), so that a cell costs one
//! match and no downcast.

mod array;
mod binary;
mod datetime;
mod float;
mod json;
mod text;
mod values;

use arrow_array::RecordBatch;
use bytes::{BufMut, BytesMut};
use chrono_tz::Tz;

use super::error::{PgError, Result, sqlstate};
use super::types::PgColumn;
use values::Values;

pub(super) use datetime::{put_date, put_time, put_timestamp};

/// How a value is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// As a person reads it.
    Text,
    /// As PostgreSQL's `typsend` functions write it.
    Binary,
}

/// Longest data row that is sent.
const MAX_ROW_BYTES: usize = 1 << 30;

/// The rows of one batch, ready to be written.
pub(super) struct RowEncoder {
    columns: Vec<(Values, Format)>,
}

impl RowEncoder {
    /// Looks at a batch. `zone` is the session's time zone.
    pub(super) fn new(
        batch: &RecordBatch,
        columns: &[PgColumn],
        formats: &[Format],
        zone: Tz,
    ) -> Result<Self> {
        if batch.num_columns() != columns.len() {
            return Err(PgError::internal(format!(
                "rows with {} columns where {} were announced",
                batch.num_columns(),
                columns.len()
            )));
        }
        let columns = batch
            .columns()
            .iter()
            .zip(columns)
            .zip(formats)
            .map(|((array, column), &format)| Ok((Values::new(array, column, zone)?, format)))
            .collect::<Result<_>>()?;
        Ok(Self { columns })
    }

    /// Appends the data row message of a row.
    pub(super) fn data_row(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        let start = out.len();
        out.put_u8(b'D');
        out.put_i32(0);
        out.put_i16(self.columns.len() as i16);
        for (values, format) in &self.columns {
            put_value(values, row, *format, out);
        }
        let length = out.len() - start - 1;
        if length > MAX_ROW_BYTES {
            out.truncate(start);
            return Err(PgError::new(
                sqlstate::TOO_LARGE,
                format!("a row of {length} bytes is larger than the {MAX_ROW_BYTES} allowed"),
            ));
        }
        out[start + 1..start + 5].copy_from_slice(&(length as i32).to_be_bytes());
        Ok(())
    }

    /// Appends the copy data message of a row in `COPY`'s text format.
    pub(super) fn copy_row(&self, row: usize, out: &mut BytesMut) {
        let start = out.len();
        out.put_u8(b'd');
        out.put_i32(0);
        let mut cell = BytesMut::new();
        for (number, (values, _)) in self.columns.iter().enumerate() {
            if number > 0 {
                out.put_u8(b'\t');
            }
            if values.is_null(row) {
                out.put_slice(b"\\N");
                continue;
            }
            cell.clear();
            text::put(values, row, &mut cell);
            for &byte in &cell {
                match byte {
                    b'\\' => out.put_slice(b"\\\\"),
                    b'\t' => out.put_slice(b"\\t"),
                    b'\n' => out.put_slice(b"\\n"),
                    b'\r' => out.put_slice(b"\\r"),
                    other => out.put_u8(other),
                }
            }
        }
        out.put_u8(b'\n');
        let length = (out.len() - start - 1) as i32;
        out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a value with its length in front.
fn put_value(values: &Values, row: usize, format: Format, out: &mut BytesMut) {
    if values.is_null(row) {
        out.put_i32(-1);
        return;
    }
    let start = out.len();
    out.put_i32(0);
    match format {
        Format::Text => text::put(values, row, out),
        Format::Binary => binary::put(values, row, out),
    }
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::{
        Array, ArrayRef, BinaryArray, DictionaryArray, Int64Array, RecordBatch, StringArray,
        StructArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow_schema::{DataType, Field};

    use super::*;

    /// The text form of the first rows of an array.
    fn texts(array: impl Array + 'static) -> Vec<Option<String>> {
        let array: ArrayRef = Arc::new(array);
        let column = PgColumn::of(array.data_type());
        let values = Values::new(&array, &column, Tz::UTC).expect("a supported type");
        let cell = |row| {
            let mut out = BytesMut::new();
            text::put(&values, row, &mut out);
            String::from_utf8(out.to_vec()).expect("text")
        };
        (0..array.len()).map(|row| (!values.is_null(row)).then(|| cell(row))).collect()
    }

    fn some(texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| Some((*text).to_owned())).collect()
    }

    #[test]
    fn arrays_quote_what_needs_it() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        lists.append_value([Some("a"), None, Some("b c"), Some("null"), Some(""), Some("q\"\\")]);
        lists.append_value([None::<&str>; 0]);
        let text = r#"{a,NULL,"b c","null","","q\"\\"}"#;
        assert_eq!(texts(lists.finish()), some(&[text, "{}"]));
    }

    #[test]
    fn nested_values_are_json() {
        let struct_array = StructArray::from(vec![
            (
                Arc::new(Field::new("na\"me", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec![Some("a\nb"), None])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("n", DataType::Int64, true)),
                Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
            ),
        ]);
        assert_eq!(
            texts(struct_array),
            some(&[r#"{"na\"me":"a\nb","n":1}"#, r#"{"na\"me":null,"n":2}"#])
        );
        let mut maps = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
        maps.keys().append_value(7);
        maps.values().append_value("x");
        maps.append(true).expect("as many keys as values");
        assert_eq!(texts(maps.finish()), some(&[r#"{"7":"x"}"#]));
    }

    #[test]
    fn other_types_are_brought_to_those_of_postgresql() {
        assert_eq!(texts(UInt64Array::from(vec![u64::MAX])), some(&["18446744073709551615"]));
        let words: DictionaryArray<arrow_array::types::Int8Type> =
            ["a", "b", "a"].into_iter().collect();
        assert_eq!(texts(words), some(&["a", "b", "a"]));
        assert_eq!(texts(BinaryArray::from(vec![&b"\x00\xff"[..]])), some(&["\\x00ff"]));
        let instants = TimestampNanosecondArray::from(vec![1_999]).with_timezone("Asia/Tokyo");
        assert_eq!(texts(instants), some(&["1970-01-01 00:00:00.000001+00"]));
        assert_eq!(texts(arrow_array::NullArray::new(1)), [None]);
    }

    #[test]
    fn a_row_of_a_copy_escapes_its_separators() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a\tb\\c\nd")]));
        let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
        let batch = RecordBatch::try_from_iter([("a", text), ("b", null)]).expect("batch");
        let columns = vec![PgColumn::of(&DataType::Utf8); 2];
        let encoder = RowEncoder::new(&batch, &columns, &[Format::Text; 2], Tz::UTC);
        let mut out = BytesMut::new();
        encoder.expect("text").copy_row(0, &mut out);
        assert_eq!(&out[..1], b"d");
        assert_eq!(&out[5..], &b"a\\tb\\\\c\\nd\t\\N\n"[..]);
    }
}
