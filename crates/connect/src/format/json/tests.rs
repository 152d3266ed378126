//! Tests of the JSON format: what each kind of value becomes, what makes a record bad, and
//! serde_json as the oracle for everything else.

use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{JsonDecoder, JsonEncoder, JsonOptions, NullKey};
use crate::batch::record_batch;
use crate::format::datetime::TimestampStyle;
use crate::format::{RowDecoder, RowEncoder, Text};

fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
    let fields = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn row(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(
        fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect(),
    )
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

fn map(value: DataType) -> DataType {
    let pair: Fields = [Field::new("key", DataType::Utf8, false), Field::new("value", value, true)]
        .into_iter()
        .collect();
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair), false)), false)
}

fn finish(decoder: &mut JsonDecoder, schema: &SchemaRef) -> RecordBatch {
    let rows = decoder.rows();
    record_batch(schema, decoder.finish().unwrap(), rows).unwrap()
}

fn encode(rows: &RecordBatch, options: &JsonOptions) -> Vec<String> {
    let mut encoder = JsonEncoder::new(options);
    encoder.begin(rows).unwrap();
    (0..rows.num_rows())
        .map(|row| {
            let mut out = Text::new();
            encoder.encode(row, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        })
        .collect()
}

/// Decodes one record and gives it back as JSON, or the reason why it is bad.
fn through(schema: &SchemaRef, options: &JsonOptions, record: &str) -> Result<String, String> {
    let mut decoder = JsonDecoder::new(schema, options).unwrap();
    decoder.decode(record.as_bytes())?;
    Ok(encode(&finish(&mut decoder, schema), options).remove(0))
}

fn value_of(kind: DataType, value: &str) -> Result<String, String> {
    let record = format!(r#"{{"v":{value}}}"#);
    let whole = through(&schema(&[("v", kind)]), &JsonOptions::default(), &record)?;
    Ok(whole["{\"v\":".len()..whole.len() - 1].to_owned())
}

#[test]
fn values_of_each_type() {
    let ok = |kind: &DataType, value: &str, expected: &str| {
        assert_eq!(value_of(kind.clone(), value).as_deref(), Ok(expected), "{kind} {value}");
    };
    let bad = |kind: &DataType, value: &str, reason: &str| {
        let found = value_of(kind.clone(), value).unwrap_err();
        assert!(found.contains(reason), "{kind} {value}: {found}");
    };
    for kind in [DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64] {
        ok(&kind, "-7", "-7");
        ok(&kind, " \"12\" ", "12");
        ok(&kind, "\" +12 \"", "12");
        ok(&kind, "null", "null");
        bad(&kind, "\"1.5\"", "'1.5' is not of type");
        bad(&kind, "true", "true is not of type");
        bad(&kind, "[1]", "an array is not of type");
        bad(&kind, "99999999999999999999", "out of the range");
        bad(&kind, "007", "invalid JSON");
    }
    ok(&DataType::Int64, "9223372036854775807", "9223372036854775807");
    ok(&DataType::Int64, "-9223372036854775808", "-9223372036854775808");
    bad(&DataType::Int64, "9223372036854775808", "out of the range of BIGINT");
    bad(&DataType::Int8, "128", "128 is out of the range of TINYINT");
    bad(&DataType::Int32, "2147483648", "out of the range of INT");
    // Jackson's way with a fraction, and Flink's use of it.
    ok(&DataType::Int32, "1.9", "1");
    ok(&DataType::Int64, "-1.9e1", "-19");
    bad(&DataType::Int16, "1.5", "not of type SMALLINT");
    bad(&DataType::Int64, "1e30", "out of the range of BIGINT");

    ok(&DataType::Float64, "1", "1.0");
    ok(&DataType::Float64, "-2.5e-3", "-0.0025");
    ok(&DataType::Float64, "\"1e3\"", "1000.0");
    ok(&DataType::Float64, "\"NaN\"", "\"NaN\"");
    ok(&DataType::Float32, "0.1", "0.1");
    bad(&DataType::Float64, "\"x\"", "'x' is not of type DOUBLE");

    ok(&DataType::Boolean, "true", "true");
    ok(&DataType::Boolean, "\"FALSE\"", "false");
    bad(&DataType::Boolean, "\"yes\"", "'yes' is not of type BOOLEAN");
    bad(&DataType::Boolean, "1", "1 is not of type BOOLEAN");

    ok(&DataType::Utf8, r#""a\u00e9\n""#, r#""aé\n""#);
    ok(&DataType::Utf8, "1.50", "\"1.50\"");
    ok(&DataType::Utf8, "false", "\"false\"");
    ok(&DataType::Utf8, r#"{ "a" : [ 1 , " x " ] }"#, r#""{\"a\":[1,\" x \"]}""#);
    ok(&DataType::Utf8View, r#""a\"b""#, r#""a\"b""#);

    let decimal = DataType::Decimal128(10, 2);
    ok(&decimal, "123.456", "123.46");
    ok(&decimal, "\" 7 \"", "7.00");
    ok(&decimal, "1e3", "1000.00");
    bad(&decimal, "123456789", "out of the range of DECIMAL(10, 2)");
    bad(&decimal, "\"1,5\"", "not of type DECIMAL(10, 2)");

    ok(&DataType::Binary, "\"AQL/\"", "\"AQL/\"");
    bad(&DataType::Binary, "\"*\"", "expected 'base64'");
    ok(&DataType::Date32, "\"2024-02-29\"", "\"2024-02-29\"");
    bad(&DataType::Date32, "\"2023-02-29\"", "not of type DATE (expected 'yyyy-MM-dd')");
    ok(&DataType::Time32(TimeUnit::Millisecond), "\"23:59:10.5\"", "\"23:59:10.5\"");
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, None);
    ok(&timestamp, "\"2023-11-14 23:59:10.120\"", "\"2023-11-14 23:59:10.12\"");
    bad(&timestamp, "\"2023-11-14T23:59:10\"", "'json.timestamp-format.standard' = 'ISO-8601'");
    bad(&timestamp, "1700006350000", "not of type TIMESTAMP(3)");
    let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    ok(&zoned, "\"2023-11-14 23:59:10Z\"", "\"2023-11-14 23:59:10Z\"");
}

#[test]
fn nested_values() {
    let kind = row(&[("x", DataType::Int32), ("y", list(DataType::Utf8))]);
    assert_eq!(
        value_of(kind.clone(), r#"{"y":["a",null,"b"],"other":{"x":[{}]},"x":1}"#).as_deref(),
        Ok(r#"{"x":1,"y":["a",null,"b"]}"#)
    );
    assert_eq!(value_of(kind.clone(), "{}").as_deref(), Ok(r#"{"x":null,"y":null}"#));
    assert_eq!(value_of(kind.clone(), "null").as_deref(), Ok("null"));
    assert_eq!(
        value_of(kind.clone(), r#"{"x":"one"}"#).unwrap_err(),
        "field 'v.x': 'one' is not of type INT (byte 10)"
    );
    assert!(value_of(kind, "[1]").unwrap_err().contains("an array is not of type ROW"));
    let kind = list(list(DataType::Int64));
    assert_eq!(
        value_of(kind.clone(), "[[1,2],[],null,[ 3 ]]").as_deref(),
        Ok("[[1,2],[],null,[3]]")
    );
    assert!(value_of(kind, "[[1,]]").unwrap_err().contains("expected a value"));
    let kind = map(DataType::Int64);
    assert_eq!(value_of(kind.clone(), r#"{"a":1,"b":null}"#).as_deref(), Ok(r#"{"a":1,"b":null}"#));
    assert!(value_of(kind, r#"{"a":"x"}"#).unwrap_err().contains("'x' is not of type BIGINT"));
}

#[test]
fn of_a_key_that_comes_twice_the_last_counts() {
    let kinds =
        [("a", DataType::Int64), ("r", row(&[("x", DataType::Utf8)])), ("m", map(DataType::Int64))];
    let check = |record: &str, expected: &str| {
        let found = through(&schema(&kinds), &JsonOptions::default(), record);
        assert_eq!(found.as_deref(), Ok(expected), "{record}");
    };
    check(r#"{"a":1,"a":2}"#, r#"{"a":2,"r":null,"m":null}"#);
    check(r#"{"a":1,"a":null}"#, r#"{"a":null,"r":null,"m":null}"#);
    check(r#"{"a":1,"\u0061":3}"#, r#"{"a":3,"r":null,"m":null}"#);
    check(r#"{"r":{"x":"1","x":"2"},"a":5}"#, r#"{"a":5,"r":{"x":"2"},"m":null}"#);
    check(r#"{"r":{"x":"1"},"r":{}}"#, r#"{"a":null,"r":{"x":null},"m":null}"#);
    check(r#"{"m":{"k":1,"l":2,"k":3}}"#, r#"{"a":null,"r":null,"m":{"l":2,"k":3}}"#);
    check(r#"{"m":{"k":1,"\u006b":3}}"#, r#"{"a":null,"r":null,"m":{"k":3}}"#);
    let many: Vec<String> = (0..20).map(|key| format!("\"{}\":{key}", key % 19)).collect();
    let found = through(
        &schema(&kinds),
        &JsonOptions::default(),
        &format!(r#"{{"m":{{{}}}}}"#, many.join(",")),
    );
    assert!(found.unwrap().contains("\"0\":19}"));
}

#[test]
fn a_bad_record_leaves_no_trace() {
    let nested = list(row(&[("n", DataType::Int64), ("t", DataType::Utf8)]));
    let item = Field::new("item", DataType::Int64, false);
    let fields = vec![
        Field::new("a", DataType::Int64, false),
        Field::new("s", DataType::Utf8, true),
        Field::new("r", nested, true),
        Field::new("q", DataType::List(Arc::new(item)), false),
    ];
    let schema = Arc::new(Schema::new(fields));
    let good = |n: i64| format!(r#"{{"a":{n},"s":"s{n}","r":[{{"n":{n}}},null],"q":[{n}]}}"#);
    let bad = [
        (r#"{"a":null,"q":[]}"#, "field 'a': null, but the column is NOT NULL"),
        (r#"{"s":"x","q":[]}"#, "field 'a': missing, but the column is NOT NULL"),
        (r#"{"a":1,"q":[1,null]}"#, "field 'q': an array item is null"),
        (r#"{"a":1,"s":"x","r":[{"n":1},{"n":2,"t":"#, "expected a value, found the end"),
        (
            r#"{"a":1,"s":"x","r":[{"n":1},{"n":"x"}],"q":[]}"#,
            "field 'r.n': 'x' is not of type BIGINT",
        ),
        (r#"{"a":1,"s":"x","q":[1,2,"#, "invalid JSON: field 'q'"),
        (r#"{"a":1,"s":"x","q":[1]}}"#, "expected nothing more behind the record, found '}'"),
        (r#"{"a":1 "s":"x"}"#, "expected ',' or '}', found '\"'"),
        (r#"{"a":1{"a":2}"#, "expected ',' or '}', found '{'"),
        (r#"[1]"#, "expected a JSON object, found '['"),
        ("", "expected a JSON object, found the end"),
        ("null", "expected a JSON object, found 'n'"),
        ("{\"s\":\"a\nb\"}", "expected a string without control characters"),
        (r#"{"s":"\ud800"}"#, "a surrogate stands alone"),
        (r#"{"s":"abc"#, "expected '\"' at the end of a string, found the end"),
    ];
    let mut decoder = JsonDecoder::new(&schema, &JsonOptions::default()).unwrap();
    let mut expected = Vec::new();
    for (n, (record, reason)) in bad.iter().enumerate() {
        let whole = good(n as i64);
        decoder.decode(whole.as_bytes()).unwrap();
        expected.push(serde_json::from_str::<Value>(&whole).unwrap());
        expected[n]["r"][0]["t"] = Value::Null;
        let found = decoder.decode(record.as_bytes()).unwrap_err();
        assert!(found.contains(reason), "{record}: {found}");
        assert_eq!(decoder.rows(), n + 1);
    }
    assert!(decoder.decode(b"{\"s\":\"\xff\"}").unwrap_err().contains("not valid UTF-8 (byte 6)"));
    let rows = finish(&mut decoder, &schema);
    assert_eq!(rows.schema(), schema);
    let found: Vec<Value> = encode(&rows, &JsonOptions::default())
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    assert_eq!(found, expected);
    // And the decoder is as new.
    decoder.decode(good(99).as_bytes()).unwrap();
    assert_eq!(finish(&mut decoder, &schema).num_rows(), 1);
}

#[test]
fn options_of_the_decoder() {
    let kinds = [
        ("a", DataType::Int64),
        ("r", row(&[("x", DataType::Int64)])),
        ("l", list(DataType::Int32)),
    ];
    let options = JsonOptions { fail_on_missing_field: true, ..JsonOptions::default() };
    let check = |record: &str| through(&schema(&kinds), &options, record);
    assert!(check(r#"{"a":null,"r":{"x":1},"l":[]}"#).is_ok());
    assert_eq!(check(r#"{"a":1,"l":[]}"#).unwrap_err(), "field 'r': missing (byte 14)");
    assert!(check(r#"{"a":1,"r":{},"l":[]}"#).unwrap_err().contains("field 'r.x': missing"));

    let options = JsonOptions { ignore_parse_errors: true, ..JsonOptions::default() };
    let check = |record: &str| through(&schema(&kinds), &options, record);
    assert_eq!(
        check(r#"{"a":"x","r":{"x":{}},"l":[1,"y",2]}"#).as_deref(),
        Ok(r#"{"a":null,"r":{"x":null},"l":[1,null,2]}"#)
    );
    assert_eq!(check(r#"{"r":[],"l":7}"#).as_deref(), Ok(r#"{"a":null,"r":null,"l":null}"#));
    assert!(check(r#"{"a":1"#).is_err(), "what is no JSON is never passed over");

    let options = JsonOptions { timestamps: TimestampStyle::Iso8601, ..JsonOptions::default() };
    let kinds = [("t", DataType::Timestamp(TimeUnit::Microsecond, None))];
    assert_eq!(
        through(&schema(&kinds), &options, r#"{"t":"2023-11-14T23:59:10.000001"}"#).as_deref(),
        Ok(r#"{"t":"2023-11-14T23:59:10.000001"}"#)
    );
}

#[test]
fn options_of_the_encoder() {
    let kinds =
        [("a", DataType::Int64), ("r", row(&[("x", DataType::Int64), ("y", DataType::Utf8)]))];
    let options = JsonOptions { ignore_null_fields: true, ..JsonOptions::default() };
    assert_eq!(
        through(&schema(&kinds), &options, r#"{"r":{"y":"1"}}"#).as_deref(),
        Ok(r#"{"r":{"y":"1"}}"#)
    );
    let control = "{\"v\":\"\\u0001\\u001f\\b\\f\\t\\\\\\\"/\"}";
    assert_eq!(
        through(&schema(&[("v", DataType::Utf8)]), &JsonOptions::default(), control).as_deref(),
        Ok("{\"v\":\"\\u0001\\u001F\\b\\f\\t\\\\\\\"/\"}")
    );
    assert_eq!(NullKey::default(), NullKey::Fail);
}

#[test]
fn nesting_is_bounded() {
    let nothing = schema(&[]);
    let check = |levels: usize| {
        let record = format!("{{\"x\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        through(&nothing, &JsonOptions::default(), &record)
    };
    assert!(check(100).is_ok());
    assert!(check(127).is_ok());
    assert!(check(128).unwrap_err().contains("nested deeper than 128 levels"));
    assert!(check(1_000_000).unwrap_err().contains("nested deeper than 128 levels"));
}

#[test]
fn lines_with_bad_ones_among_them() {
    let schema = schema(&[("a", DataType::Int64)]);
    let lines = b"{\"a\":1}\n\n  \n{\"a\":\n{\"a\":2}\r\n{\"a\":\"\xff\"}\n {\"a\":3} x\n{\"a\":4}";
    for max in [1, 2, 100] {
        let mut decoder = JsonDecoder::new(&schema, &JsonOptions::default()).unwrap();
        let (mut at, mut records, mut bad) = (0, 0, Vec::new());
        while at < lines.len() {
            let done = decoder.decode_lines(&lines[at..], max, &mut |range, reason| {
                bad.push((lines[at + range.start..at + range.end].to_vec(), reason));
            });
            assert!(done.bytes > 0 && done.records <= max);
            at += done.bytes;
            records += done.records;
        }
        assert_eq!(records, 6);
        let raw: Vec<_> = bad.iter().map(|(raw, _)| &raw[..]).collect();
        assert_eq!(raw, [&b"{\"a\":"[..], b"{\"a\":\"\xff\"}", b" {\"a\":3} x"]);
        assert!(bad[0].1.contains("found the end of the line (byte 5)"), "{}", bad[0].1);
        let rows = encode(&finish(&mut decoder, &schema), &JsonOptions::default());
        assert_eq!(rows, ["{\"a\":1}", "{\"a\":2}", "{\"a\":4}"]);
    }
}

/// Column types of the oracle test, and for each values that fit.
fn oracle_schema() -> SchemaRef {
    schema(&[
        ("i", DataType::Int64),
        ("s", DataType::Utf8),
        ("d", DataType::Float64),
        ("b", DataType::Boolean),
        (
            "r",
            row(&[("i", DataType::Int32), ("s", DataType::Utf8), ("long name", DataType::Int64)]),
        ),
        ("l", list(row(&[("i", DataType::Int64), ("l", list(DataType::Utf8))]))),
        ("m", map(DataType::Int64)),
    ])
}

fn optional(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![1 => Just(None), 1 => Just(Some(Value::Null)), 6 => value.prop_map(Some)].boxed()
}

fn text() -> BoxedStrategy<Value> {
    prop_oneof!["[ -~]{0,60}", "\\PC{0,20}", any::<String>(), "\\\\{0,3}\"{0,3}"]
        .prop_map(Value::String)
        .boxed()
}

fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|value| json!(value)),
        any::<i32>().prop_map(|value| json!(f64::from(value) / 1000.0)),
        text(),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec(("[a-z\"\\\\é]{0,5}", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
    .boxed()
}

fn object(fields: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (names, values): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
    (values, prop::collection::vec(("[A-Z]{1,3}", anything()), 0..3))
        .prop_map(move |(values, extra)| {
            let known = names.iter().zip(values);
            let known = known.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
            Value::Object(known.chain(extra).collect())
        })
        .boxed()
}

fn record() -> BoxedStrategy<Value> {
    let integer = || any::<i64>().prop_map(|value| json!(value)).boxed();
    let nested = object(vec![
        ("i", optional(integer())),
        ("l", optional(prop::collection::vec(text(), 0..3).prop_map(Value::Array))),
    ]);
    object(vec![
        ("i", optional(integer())),
        ("s", optional(text())),
        // serde_json reads numbers with many digits inexactly.
        ("d", optional(any::<i32>().prop_map(|d| json!(f64::from(d) / 1000.0)))),
        ("b", optional(any::<bool>().prop_map(Value::Bool))),
        (
            "r",
            optional(object(vec![
                ("i", optional(any::<i32>().prop_map(|value| json!(value)))),
                ("s", optional(text())),
                ("long name", optional(integer())),
            ])),
        ),
        ("l", optional(prop::collection::vec(nested, 0..3).prop_map(Value::Array))),
        (
            "m",
            optional(
                prop::collection::vec(("\\PC{0,4}", integer()), 0..12)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ),
        ),
    ])
}

/// Writes a value with white space and key orders that a seed decides.
fn write(value: &Value, seed: &mut u64, out: &mut String) {
    let mut draw = |below: u64| {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % below
    };
    let space = [" ", "\t", "", "", "", "", "", "\r"];
    match value {
        Value::Object(fields) => {
            let turn = draw(fields.len().max(1) as u64) as usize;
            out.push('{');
            out.push_str(space[draw(8) as usize]);
            let spaces: Vec<_> = fields.iter().map(|_| [draw(8), draw(8), draw(8)]).collect();
            let turned = fields.iter().skip(turn).chain(fields.iter().take(turn));
            for (count, ((key, value), spaces)) in turned.zip(spaces).enumerate() {
                if count > 0 {
                    out.push(',');
                }
                out.push_str(space[spaces[0] as usize]);
                out.push_str(&serde_json::to_string(key).unwrap());
                out.push_str(space[spaces[1] as usize]);
                out.push(':');
                out.push_str(space[spaces[2] as usize]);
                write(value, seed, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (count, item) in items.iter().enumerate() {
                if count > 0 {
                    out.push_str(", ");
                }
                write(item, seed, out);
            }
            out.push(']');
        }
        other => out.push_str(&serde_json::to_string(other).unwrap()),
    }
}

/// The value as a column of this type holds it.
fn expected(value: Option<&Value>, kind: &DataType) -> Value {
    match (value, kind) {
        (None | Some(Value::Null), _) => Value::Null,
        (Some(Value::Object(fields)), DataType::Struct(kinds)) => {
            let fields = kinds.iter().map(|field| {
                let value = expected(fields.get(field.name()), field.data_type());
                (field.name().clone(), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
        (Some(Value::Array(items)), DataType::List(item)) => {
            items.iter().map(|value| expected(Some(value), item.data_type())).collect()
        }
        (Some(value), _) => value.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// What serde_json makes of a record is what ends up in the columns, by every way.
    #[test]
    fn records_agree_with_serde_json(records in prop::collection::vec((record(), any::<u64>()), 1..8)) {
        let schema = oracle_schema();
        let whole = DataType::Struct(schema.fields().clone());
        let texts: Vec<String> = records.iter().map(|(value, seed)| {
            let mut out = String::new();
            write(value, &mut seed.clone(), &mut out);
            out
        }).collect();
        let parsed = |text: &String| serde_json::from_str::<Value>(text).unwrap();
        let wanted: Vec<Value> = texts.iter().map(|text| expected(Some(&parsed(text)), &whole)).collect();

        let mut decoder = JsonDecoder::new(&schema, &JsonOptions::default()).unwrap();
        for text in &texts {
            prop_assert_eq!(decoder.decode(text.as_bytes()), Ok(()));
        }
        let one_by_one = finish(&mut decoder, &schema);
        let found: Vec<Value> =
            encode(&one_by_one, &JsonOptions::default()).iter().map(parsed).collect();
        prop_assert_eq!(&found, &wanted);

        let lines = texts.join("\n");
        let mut decoder = JsonDecoder::new(&schema, &JsonOptions::default()).unwrap();
        let done = decoder.decode_lines(lines.as_bytes(), 100, &mut |_, reason| panic!("{reason}"));
        prop_assert_eq!(done.bytes, lines.len());
        prop_assert_eq!(finish(&mut decoder, &schema), one_by_one.clone());

        // Each column by itself.
        for column in 0..schema.fields().len() {
            let one = Arc::new(schema.project(&[column]).unwrap());
            let mut decoder = JsonDecoder::new(&one, &JsonOptions::default()).unwrap();
            decoder.decode_lines(lines.as_bytes(), 100, &mut |_, reason| panic!("{reason}"));
            prop_assert_eq!(decoder.finish().unwrap()[0].to_data(), one_by_one.column(column).to_data());
        }
    }

    /// Damaged records are refused exactly where serde_json refuses them, whether or not
    /// anything of them is wanted, and nothing panics.
    #[test]
    fn damaged_records_agree_with_serde_json(
        value in record(),
        seed in any::<u64>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..6_u8, any::<u8>()), 1..4),
    ) {
        let mut text = String::new();
        write(&value, &mut seed.clone(), &mut text);
        let mut bytes = text.into_bytes();
        for (place, kind, byte) in damage {
            let at = place.index(bytes.len().max(1));
            let sign = b"{}[],:\"\\0-.eE tnf"[usize::from(byte) % 17];
            match kind {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => bytes[at] = sign,
                2 => bytes.insert(at, sign),
                3 => { bytes.remove(at); }
                4 => bytes.truncate(at),
                _ => { let copy = bytes[at..].to_vec(); bytes.extend(copy); }
            }
        }
        let theirs = serde_json::from_slice::<Value>(&bytes);
        let too_large = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        let nothing = schema(&[]);
        let mut decoder = JsonDecoder::new(&nothing, &JsonOptions::default()).unwrap();
        let ours = decoder.decode(&bytes);
        if !too_large {
            let good = theirs.is_ok_and(|value| value.is_object());
            prop_assert_eq!(ours.is_ok(), good, "{:?}: {:?}", String::from_utf8_lossy(&bytes), ours);
        }
        // With all columns it may be refused for its values too, never the other way round.
        let schema = oracle_schema();
        let mut decoder = JsonDecoder::new(&schema, &JsonOptions::default()).unwrap();
        let whole = decoder.decode(&bytes);
        prop_assert!(ours.is_ok() || whole.is_err(), "{:?} {:?}", String::from_utf8_lossy(&bytes), ours);
        decoder.decode(br#"{"i":1}"#).unwrap();
        prop_assert_eq!(finish(&mut decoder, &schema).num_rows(), 1 + usize::from(whole.is_ok()));
        // As lines: whatever happens, every byte is passed over and each line is counted.
        let mut decoder = JsonDecoder::new(&schema, &JsonOptions::default()).unwrap();
        let mut bad = 0;
        let done = decoder.decode_lines(&bytes, usize::MAX, &mut |_, _| bad += 1);
        prop_assert_eq!(done.bytes, bytes.len());
        prop_assert_eq!(done.records, decoder.rows() + bad);
    }

    /// Bytes that never were a record.
    #[test]
    fn noise_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let schema = oracle_schema();
        let mut decoder = JsonDecoder::new(&schema, &JsonOptions::default()).unwrap();
        let _ = decoder.decode(&bytes);
        decoder.decode_lines(&bytes, usize::MAX, &mut |range, _| assert!(range.end <= bytes.len()));
        decoder.finish().unwrap();
    }
}
