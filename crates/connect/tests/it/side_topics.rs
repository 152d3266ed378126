//! Topics of late rows and of bad records, and the tables that read them.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, TimeUnit};
use thalweg_connect::{bad_sink, bad_table, late_sink, late_table};
use thalweg_core::partition_log::LogStore;
use thalweg_stream::ChangeBatch;
use thalweg_stream::connector::Connectors;

use crate::conformance::{check_source, chunks, publish};
use crate::support::{World, rows, schema};

#[test]
fn bad_records_keep_their_bytes_and_say_why() {
    let world = World::new();
    let sink = bad_sink(world.log.clone(), "orders.bad").unwrap();
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
    let headers =
        [("thalweg.partition", "0"), ("thalweg.offset", "7"), ("thalweg.reason", "invalid JSON")];
    assert_eq!(
        records[0].headers,
        headers.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert!(records[0].timestamp > 0, "the topic stamps them");

    let table = bad_table("c.d.orders$bad", "orders.bad");
    world.registry.validate(&table).unwrap();
    let source = world.registry.source(&table, &[0, 1, 2, 3, 4]).unwrap();
    let split = source.splits().unwrap().remove(0);
    assert_eq!(
        check_source(&*source, &split, 1).rows,
        [
            r#"{"raw":"e29vcHM=","partition":"0","offset":7,"reason":"invalid JSON","key":null}"#,
            r#"{"raw":"/wA=","partition":"/data/in.json","offset":1099511627776,"reason":"not UTF-8","key":null}"#,
        ]
    );
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
