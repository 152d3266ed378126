//! The kafka and upsert-kafka sinks: what is written where, and once.

use arrow_schema::DataType;
use bytes::Bytes;
use thalweg_core::ids::{Epoch, ProducerId};
use thalweg_core::partition_log::{LogStore, append_durably};
use thalweg_core::record_batch::{BatchBuilder, Compression, NewRecord};
use thalweg_stream::connector::Connectors;
use thalweg_stream::sink::{OutputChunk, Publication, SinkRef};
use thalweg_stream::{ChangeBatch, RowKind, StreamError};

use crate::conformance::{chunks, publish};
use crate::support::{World, rows, schema, table, with_metadata};

fn sink(world: &World, options: &[(&str, &str)]) -> SinkRef {
    let schema = schema(&[("k", DataType::Utf8), ("n", DataType::Int64)]);
    let mut all = vec![("connector", "kafka"), ("format", "json"), ("topic", "out")];
    all.extend(options);
    world.registry.sink(&table(&schema, &all)).unwrap()
}

fn batch(objects: &[&str]) -> ChangeBatch {
    ChangeBatch::inserts(rows(&schema(&[("k", DataType::Utf8), ("n", DataType::Int64)]), objects))
}

fn objects(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{{\"k\":\"k{n}\",\"n\":{n}}}")).collect()
}

#[test]
fn published_twice_is_there_once() {
    let world = World::new();
    let sink = sink(&world, &[]);
    assert!(!sink.accepts_updates());
    let objects = objects(100);
    let batches: Vec<_> = objects
        .chunks(7)
        .map(|part| batch(&part.iter().map(|o| &**o).collect::<Vec<_>>()))
        .collect();
    let (first, second) = batches.split_at(6);
    let (first, second) = (chunks(&*sink, first), chunks(&*sink, second));
    publish(&*sink, 5, 0, &first);
    publish(&*sink, 5, 0, &first);
    publish(&*sink, 5, 42, &second);
    publish(&*sink, 5, 0, &first);
    publish(&*sink, 5, 42, &second);
    let values: Vec<_> = world.values("out", 0).into_iter().flatten().collect();
    assert_eq!(values, objects);
    assert!(
        world.records("out", 0).iter().all(|record| record.key.is_none() && record.timestamp > 0)
    );
}

#[test]
fn an_interrupted_publication_is_completed_to_the_record() {
    for there in 0..=10 {
        let world = World::new();
        let sink = sink(&world, &[]);
        let objects = objects(10);
        let chunk = chunks(&*sink, &[batch(&objects.iter().map(|o| &**o).collect::<Vec<_>>())]);
        // What a crash left: some of the records, in batches of another size.
        for (n, object) in objects[..there].iter().enumerate() {
            let mut one = BatchBuilder::new(Compression::None).producer(9, 0, n as i32);
            one.push(&NewRecord {
                timestamp: 1,
                value: Some(object.as_bytes()),
                ..NewRecord::default()
            })
            .unwrap();
            append_durably(&*world.log.partition("out", 0).unwrap(), one.build().unwrap()).unwrap();
        }
        publish(&*sink, 9, 0, &chunk);
        let values: Vec<_> = world.values("out", 0).into_iter().flatten().collect();
        assert_eq!(values, objects, "{there} were there");
    }
}

#[test]
fn a_log_that_lost_records_is_noticed() {
    let world = World::new();
    let sink = sink(&world, &[]);
    let chunk = chunks(&*sink, &[batch(&["{\"n\":1}"])]);
    publish(&*sink, 5, 0, &chunk);
    let publication = Publication { producer: ProducerId(5), epoch: Epoch(2), first_sequence: 7 };
    let outcome = sink.publisher().unwrap().publish(publication, &chunk[0]);
    assert!(matches!(outcome, Err(StreamError::Incompatible(_))), "{outcome:?}");
    let damaged = OutputChunk { partition: 0, count: 1, bytes: Bytes::from_static(b"\x09") };
    let publication = Publication { first_sequence: 1, ..publication };
    assert!(sink.publisher().unwrap().publish(publication, &damaged).is_err());
}

#[test]
fn chunks_larger_than_a_batch_are_split() {
    let world = World::new();
    let config = [("max.message.bytes".to_owned(), "4000".to_owned())];
    world.log.create_topic("out", 1, &config).unwrap();
    for (producer, codec) in [(1, "none"), (2, "zstd")] {
        let sink = sink(&world, &[("properties.compression.type", codec)]);
        let long = format!("{{\"k\":\"{}\",\"n\":1}}", "x".repeat(1500));
        let chunk = chunks(&*sink, &[batch(&[long.as_str(); 20])]);
        publish(&*sink, producer, 0, &chunk);
        publish(&*sink, producer, 0, &chunk);
        let mut writer = sink.writer(0, 1).unwrap();
        let too_long = format!("{{\"k\":\"{}\"}}", "x".repeat(5000));
        let error = writer.write(&batch(&[&too_long])).unwrap_err().to_string();
        assert!(error.contains("too large for topic 'out'"), "{error}");
    }
    assert_eq!(world.values("out", 0).len(), 40);
}

#[test]
fn partitions_by_key_by_subtask_and_in_turn() {
    let world = World::new();
    world.log.create_topic("out", 3, &[]).unwrap();
    let keyed = sink(&world, &[("key.format", "raw"), ("key.fields", "k")]);
    assert_eq!(keyed.partitions(), 3);
    let objects = objects(30);
    let batch = batch(&objects.iter().map(|o| &**o).collect::<Vec<_>>());
    let by_key = chunks(&*keyed, std::slice::from_ref(&batch));
    publish(&*keyed, 1, 0, &by_key);
    let mut seen = 0;
    for partition in 0..3 {
        for record in world.records("out", partition) {
            let key = record.key.unwrap();
            assert_eq!(record.value.unwrap(), objects[key[1..].parse::<usize>().unwrap()]);
            seen += 1;
        }
    }
    assert_eq!((seen, by_key.len()), (30, 3));

    let fixed = sink(&world, &[]);
    let mut writer = fixed.writer(4, 6).unwrap();
    writer.write(&batch).unwrap();
    let chunks_of = writer.finish_epoch().unwrap();
    assert_eq!(chunks_of.iter().map(|c| (c.partition, c.count)).collect::<Vec<_>>(), [(1, 30)]);

    let in_turn = sink(&world, &[("sink.partitioner", "round-robin")]);
    let counts: Vec<_> =
        chunks(&*in_turn, &[batch]).iter().map(|c| (c.partition, c.count)).collect();
    assert_eq!(counts, [(0, 10), (1, 10), (2, 10)]);
}

#[test]
fn the_timestamp_column_is_the_records_timestamp() {
    let world = World::new();
    let time = DataType::Timestamp(arrow_schema::TimeUnit::Millisecond, None);
    let schema = with_metadata(&[("n", DataType::Int64)], &[("at", "timestamp", time)]);
    let table = table(&schema, &[("connector", "kafka"), ("format", "json"), ("topic", "out")]);
    let sink = world.registry.sink(&table).unwrap();
    let rows = rows(&schema, &["{\"n\":1,\"at\":\"2023-11-14 22:13:20.5\"}"]);
    publish(&*sink, 1, 0, &chunks(&*sink, &[ChangeBatch::inserts(rows)]));
    let records = world.records("out", 0);
    assert_eq!(records[0].timestamp, 1_700_000_000_500);
    assert_eq!(records[0].value.as_deref(), Some("{\"n\":1}"));
}

#[test]
fn upserts_and_deletes_by_key() {
    let world = World::new();
    let schema = schema(&[("k", DataType::Utf8), ("n", DataType::Int64)]);
    let mut table = table(
        &schema,
        &[
            ("connector", "upsert-kafka"),
            ("topic", "out"),
            ("key.format", "json"),
            ("value.format", "json"),
        ],
    );
    let error = world.registry.validate(&table).unwrap_err().to_string();
    assert!(error.contains("PRIMARY KEY"), "{error}");
    table.primary_key = vec![0];
    world.registry.validate(&table).unwrap();
    assert!(world.registry.accepts_updates(&table).unwrap());
    assert!(world.registry.source(&table, &[0]).is_err());
    let sink = world.registry.sink(&table).unwrap();
    let changes = ChangeBatch::changes(
        rows(
            &schema,
            &[
                "{\"k\":\"a\",\"n\":1}",
                "{\"k\":\"a\",\"n\":1}",
                "{\"k\":\"a\",\"n\":2}",
                "{\"k\":\"b\",\"n\":3}",
                "{\"k\":\"a\",\"n\":2}",
            ],
        ),
        vec![
            RowKind::Insert,
            RowKind::UpdateBefore,
            RowKind::UpdateAfter,
            RowKind::Insert,
            RowKind::Delete,
        ],
    );
    publish(&*sink, 1, 0, &chunks(&*sink, &[changes]));
    let found: Vec<_> = world
        .records("out", 0)
        .into_iter()
        .map(|record| (record.key.unwrap(), record.value))
        .collect();
    let pair = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    assert_eq!(
        found,
        [
            pair("{\"k\":\"a\"}", Some("{\"k\":\"a\",\"n\":1}")),
            pair("{\"k\":\"a\"}", Some("{\"k\":\"a\",\"n\":2}")),
            pair("{\"k\":\"b\"}", Some("{\"k\":\"b\",\"n\":3}")),
            pair("{\"k\":\"a\"}", None),
        ]
    );
}

#[test]
fn a_change_is_not_written_as_if_it_were_new() {
    let world = World::new();
    let sink = sink(&world, &[]);
    let rows = batch(&["{\"n\":1}"]).rows;
    let change = ChangeBatch::changes(rows, vec![RowKind::Delete]);
    assert!(sink.writer(0, 1).unwrap().write(&change).is_err());
}
