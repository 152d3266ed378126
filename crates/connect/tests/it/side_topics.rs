//! Topics of late rows and of bad records, and the tables that read them.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, ListBuilder, StructBuilder};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, TimeUnit};
use bytes::Bytes;
use thalweg_connect::{bad_sink, bad_table, late_sink, late_table};
use thalweg_core::partition_log::LogStore;
use thalweg_stream::ChangeBatch;
use thalweg_stream::connector::Connectors;
use thalweg_stream::record::BadRecord;

use crate::conformance::{check_source, chunks, publish};
use crate::support::{World, rows, schema};

#[test]
fn bad_records_keep_their_bytes_and_say_why() {
    let world = World::new();
    let sink = bad_sink(world.log.clone(), "orders.bad", "totals").unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BinaryArray::from_vec(vec![b"{oops", b"\xff\x00"])),
        Arc::new(StringArray::from(vec!["0", "/data/in.json"])),
        Arc::new(Int64Array::from(vec![7, 1 << 40])),
        Arc::new(StringArray::from(vec!["invalid JSON", "not UTF-8"])),
    ];
    let kinds = [
        ("raw", DataType::Binary),
        ("partition", DataType::Utf8),
        ("offset", DataType::Int64),
        ("reason", DataType::Utf8),
    ];
    let bad = RecordBatch::try_new(schema(&kinds), columns).unwrap();
    let written = chunks(&*sink, &[ChangeBatch::inserts(bad)]);
    publish(&*sink, 3, 0, &written);
    publish(&*sink, 3, 0, &written);
    let records = world.records("orders.bad", 0);
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].value.as_deref(), Some("{oops"));
    let headers = [
        ("thalweg.partition", "0"),
        ("thalweg.offset", "7"),
        ("thalweg.reason", "invalid JSON"),
        ("thalweg.job", "totals"),
    ];
    assert_eq!(
        records[0].headers,
        headers.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(records[0].timestamp > 0, "the topic stamps them");

    let table = bad_table("c.d.orders$bad", "orders.bad");
    world.registry.validate(&table).unwrap();
    let source = world.registry.source(&table, &[0, 1, 2, 3, 4, 5]).unwrap();
    let split = source.splits().unwrap().remove(0);
    assert_eq!(
        check_source(&*source, &split, 1).rows,
        [
            r#"{"raw":"e29vcHM=","partition":"0","offset":7,"reason":"invalid JSON","job":"totals","key":null}"#,
            r#"{"raw":"/wA=","partition":"/data/in.json","offset":1099511627776,"reason":"not UTF-8","job":"totals","key":null}"#,
        ]
    );
}

/// Bad records as the engine hands them over.
fn bad_batch(records: &[BadRecord]) -> ChangeBatch {
    let headers = ListBuilder::new(StructBuilder::from_fields(
        vec![
            Field::new("name", DataType::Binary, false),
            Field::new("value", DataType::Binary, true),
        ],
        0,
    ));
    let headers = records.iter().fold(headers, |mut list, record| {
        for (name, value) in &record.headers {
            let entry = list.values();
            entry.field_builder::<BinaryBuilder>(0).unwrap().append_value(name);
            entry.field_builder::<BinaryBuilder>(1).unwrap().append_option(value.as_ref());
            entry.append(true);
        }
        list.append(true);
        list
    });
    let columns: [(&str, ArrayRef); 6] = [
        ("raw", Arc::new(records.iter().map(|bad| bad.raw.as_ref()).collect::<BinaryArray>())),
        (
            "partition",
            Arc::new(StringArray::from_iter_values(records.iter().map(|bad| &bad.split))),
        ),
        (
            "offset",
            Arc::new(records.iter().map(|bad| Some(bad.position as i64)).collect::<Int64Array>()),
        ),
        ("reason", Arc::new(StringArray::from_iter_values(records.iter().map(|bad| &bad.reason)))),
        ("key", Arc::new(records.iter().map(|bad| bad.key.as_ref()).collect::<BinaryArray>())),
        ("headers", Arc::new({ headers }.finish())),
    ];
    ChangeBatch::inserts(
        RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, true)),
        )
        .unwrap(),
    )
}

#[test]
fn keys_headers_and_tombstones_stay_and_what_is_cut_is_said() {
    let world = World::new();
    let sink = bad_sink(world.log.clone(), "orders.bad", "totals").unwrap();
    let plain = BadRecord {
        key: None,
        raw: Some(Bytes::from("v")),
        headers: Vec::new(),
        split: "0".into(),
        position: 1,
        reason: "why".into(),
    };
    let header = |name: &str, value: Vec<u8>| (Bytes::from(name.to_owned()), Some(value.into()));
    let large = Bytes::from(vec![b'x'; 2_000_000]);
    let records = [
        BadRecord {
            key: Some(Bytes::from("k")),
            raw: None,
            headers: vec![
                header("trace", b"7".to_vec()),
                // As if it came from a topic of bad records.
                header("thalweg.reason", b"another".to_vec()),
                (Bytes::from("none"), None),
            ],
            ..plain.clone()
        },
        BadRecord { raw: Some(large.clone()), reason: "é".repeat(9_000), ..plain.clone() },
        BadRecord {
            key: Some(large.clone()),
            raw: Some(large.slice(..1_000_000)),
            headers: vec![header("small", b"1".to_vec()), header("large", large.to_vec())],
            ..plain.clone()
        },
        BadRecord { raw: Some(large.slice(..1_030_000)), ..plain },
    ];
    let written = chunks(&*sink, &[bad_batch(&records)]);
    publish(&*sink, 3, 0, &written);
    let found = world.records("orders.bad", 0);
    let header_of = |at: usize, name: &str| {
        let mut headers = found[at].headers.iter().rev();
        headers.find(|header| header.0 == name).map(|header| header.1.clone())
    };
    assert_eq!((found[0].key.as_deref(), &found[0].value), (Some("k"), &None));
    let names: Vec<_> = found[0].headers.iter().map(|header| &*header.0).collect();
    assert_eq!(names[..3], ["trace", "thalweg.reason", "none"], "as they came");
    assert_eq!(header_of(0, "trace").unwrap(), "7");
    assert_eq!(header_of(0, "thalweg.reason").unwrap(), "why", "the last one counts");

    let reason = header_of(1, "thalweg.reason").unwrap();
    let kept = found[1].value.as_ref().unwrap().len();
    assert!(kept > 1_000_000 && reason.len() < 8_100, "{kept}, {}", reason.len());
    let note = format!("é (the value has 2000000 bytes, of which {kept} are kept)");
    assert!(reason.ends_with(&note), "{}", &reason[reason.len() - 80..]);

    assert_eq!(found[2].key.as_ref().unwrap().len(), 200_000);
    assert_eq!((header_of(2, "small").as_deref(), header_of(2, "large")), (Some("1"), None));
    let reason = header_of(2, "thalweg.reason").unwrap();
    assert!(reason.starts_with("why (1 headers are not kept) (the key has 2000000"), "{reason}");
    assert_eq!(found[3].value.as_ref().unwrap().len(), 1_030_000, "what a producer may send");
    assert_eq!(header_of(3, "thalweg.reason").unwrap(), "why");
}

#[test]
fn late_rows_are_a_table() {
    let world = World::new();
    let schema = schema(&[
        ("sensor", DataType::Utf8),
        ("watermark", DataType::Timestamp(TimeUnit::Millisecond, None)),
    ]);
    let sink = late_sink(world.log.clone(), "job.late", schema.clone()).unwrap();
    assert!(!sink.accepts_updates());
    let object = r#"{"sensor":"a","watermark":"2023-11-14 23:59:10"}"#;
    publish(&*sink, 3, 0, &chunks(&*sink, &[ChangeBatch::inserts(rows(&schema, &[object]))]));
    assert_eq!(world.log.topic("job.late").unwrap().partitions, 1);
    let table = late_table("c.d.job$late", "job.late", schema);
    let source = world.registry.source(&table, &[0, 1]).unwrap();
    let split = source.splits().unwrap().remove(0);
    assert_eq!(check_source(&*source, &split, 1).rows, [object]);
}
