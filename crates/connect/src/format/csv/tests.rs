//! Tests of the CSV format.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;

use super::{CsvDecoder, CsvEncoder, CsvOptions};
use crate::batch::record_batch;
use crate::format::{RowDecoder, RowEncoder, Text};
use crate::options::Options;

fn options(pairs: &[(&str, &str)]) -> CsvOptions {
    let table: BTreeMap<_, _> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    CsvOptions::new(&Options::new(&table)).unwrap()
}

fn schema(kinds: &[DataType]) -> SchemaRef {
    let fields = kinds.iter().enumerate();
    let fields = fields.map(|(at, kind)| Field::new(format!("c{at}"), kind.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn decode(kinds: &[DataType], options: &CsvOptions, record: &str) -> Result<RecordBatch, String> {
    let schema = schema(kinds);
    let columns: Vec<usize> = (0..kinds.len()).collect();
    let mut decoder = CsvDecoder::new(&schema, &columns, options).unwrap();
    decoder.decode(record.as_bytes())?;
    Ok(record_batch(&schema, decoder.finish().unwrap(), 1).unwrap())
}

fn encode(rows: &RecordBatch, options: &CsvOptions) -> String {
    let mut encoder = CsvEncoder::new(options);
    encoder.begin(rows).unwrap();
    let mut out = Text::new();
    encoder.encode(0, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Decodes a record and writes it again.
fn through(kinds: &[DataType], options: &CsvOptions, record: &str) -> Result<String, String> {
    Ok(encode(&decode(kinds, options, record)?, options))
}

#[test]
fn values_and_quotes() {
    let kinds = [DataType::Int64, DataType::Utf8, DataType::Float64];
    let standard = options(&[]);
    let ok = |record: &str, expected: &str| {
        assert_eq!(through(&kinds, &standard, record).as_deref(), Ok(expected), "{record}");
    };
    ok("1,Alice,2.5", "1,Alice,2.5");
    ok("\"1\",\"Al,\"\"ice\",-0.5", "1,\"Al,\"\"ice\",-0.5");
    ok(",,", ",\"\",");
    ok("7,a\"b,1e3", "7,\"a\"\"b\",1000.0");
    ok("1,\"two\nlines\",3", "1,\"two\nlines\",3.0");
    let bad = |record: &str, reason: &str| {
        let found = through(&kinds, &standard, record).unwrap_err();
        assert!(found.contains(reason), "{record}: {found}");
    };
    bad("1,a", "2 fields, but the table has 3");
    bad("1,a,2,3", "more than the table's 3 fields");
    bad("x,a,2", "field 'c0': 'x' is not of type BIGINT");
    bad("1,\"a,2", "a quoted field does not end");
    bad("1,\"a\"b,2", "goes on behind its closing quote");
    bad("99999999999999999999,a,1", "out of the range of BIGINT");
}

#[test]
fn options_of_the_format() {
    let kinds = [DataType::Utf8, DataType::Int32];
    let check = |pairs: &[(&str, &str)], record: &str, expected: &str| {
        let options = options(pairs);
        assert_eq!(through(&kinds, &options, record).as_deref(), Ok(expected), "{record}");
    };
    check(&[("field-delimiter", "|")], "a,b|1", "a,b|1");
    check(&[("field-delimiter", "\\t")], "a\t1", "a\t1");
    check(&[("quote-character", "'")], "'a,''b',1", "'a,''b',1");
    check(&[("disable-quote-character", "true")], "\"a\",1", "\"a\",1");
    check(&[("null-literal", "n/a")], "n/a,n/a", "n/a,n/a");
    check(&[("escape-character", "\\")], "a\\,b,1", "\"a,b\",1");
    check(&[("escape-character", "\\")], "\"a\\\"b\",1", "\"a\\\"b\",1");
    check(&[("ignore-parse-errors", "true")], "a,x", "a,");
    check(&[("ignore-parse-errors", "true")], "a", "a,");
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    let row = DataType::Struct(
        [Field::new("x", DataType::Utf8, true), Field::new("y", DataType::Int8, true)]
            .into_iter()
            .collect(),
    );
    assert_eq!(
        through(&[list, row], &options(&[("array-element-delimiter", "/")]), "1//3,a/5").as_deref(),
        Ok("1//3,a/5")
    );
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    assert_eq!(
        through(&[time], &options(&[]), "2023-11-14 23:59:10.500").as_deref(),
        Ok("2023-11-14 23:59:10.5")
    );
}

#[test]
fn only_wanted_columns_and_comments() {
    let schema = schema(&[DataType::Utf8, DataType::Int64, DataType::Int64]);
    let mut decoder =
        CsvDecoder::new(&schema, &[2, 0], &options(&[("allow-comments", "true")])).unwrap();
    let mut bad = Vec::new();
    let lines = b"# a comment\na,x,1\r\n\nb,2,x\nc,3,4";
    let done = decoder.decode_lines(lines, 100, &mut |range, reason| {
        bad.push((range, reason));
    });
    assert_eq!((done.bytes, done.records), (lines.len(), 3));
    assert_eq!(bad.len(), 1, "what nobody wants is not looked at: {bad:?}");
    assert_eq!(&lines[bad[0].0.clone()], b"b,2,x");
    let wanted = Arc::new(schema.project(&[2, 0]).unwrap());
    let rows = record_batch(&wanted, decoder.finish().unwrap(), 2).unwrap();
    assert_eq!(encode(&rows.slice(1, 1), &options(&[])), "4,c");
}

#[test]
fn options_that_contradict_are_refused() {
    let table = [("disable-quote-character", "true"), ("quote-character", "'")];
    let table: BTreeMap<_, _> =
        table.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert!(CsvOptions::new(&Options::new(&table)).is_err());
}

proptest! {
    /// What is written is read as the same row, whatever stands in the strings.
    #[test]
    fn strings_go_there_and_back(
        texts in prop::collection::vec("[ -~\n\r,;\"'\\\\é]{0,12}", 1..4),
        escaped in any::<bool>(),
    ) {
        let kinds = vec![DataType::Utf8; texts.len()];
        let schema = schema(&kinds);
        let columns = texts.iter().map(|text| {
            Arc::new(arrow_array::StringArray::from(vec![text.as_str()])) as arrow_array::ArrayRef
        });
        let rows = RecordBatch::try_new(schema, columns.collect()).unwrap();
        let options = if escaped { options(&[("escape-character", "\\")]) } else { options(&[]) };
        let written = encode(&rows, &options);
        prop_assert_eq!(decode(&kinds, &options, &written), Ok(rows), "{}", written);
    }

    #[test]
    fn noise_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let schema = schema(&[DataType::Utf8, DataType::Int64]);
        let mut decoder =
            CsvDecoder::new(&schema, &[0, 1], &options(&[("escape-character", "\\")])).unwrap();
        let _ = decoder.decode(&bytes);
        let mut bad = 0;
        let before = decoder.rows();
        let done = decoder.decode_lines(&bytes, usize::MAX, &mut |_, _| bad += 1);
        prop_assert_eq!(done.bytes, bytes.len());
        prop_assert_eq!(done.records, decoder.rows() - before + bad);
        decoder.finish().unwrap();
    }
}
